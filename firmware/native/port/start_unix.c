// SPDX-License-Identifier: Apache-2.0
// Without arguments the image boots as a board does: run the frozen main, then
// the REPL. "-i -m" would not do: there a KeyboardInterrupt ends the process.
// A soft reset is a new program in the same process, with the same fds 0 to 2.

#include <stdlib.h>
#include <unistd.h>

#include "port.h"

int __real_main(int argc, char **argv);

// As -m does: the module's __name__ is "__main__". sys.exit() shall end the
// process, and the interpreter reads this variable after the program.
static char boot[] =
    "try:\n"
    "  __import__('moat.micro.main', None, None, False)\n"
    "except SystemExit:\n"
    "  import os\n"
    "  os.unsetenv('MICROPYINSPECT')\n"
    "  raise\n";

#define MAX_FD 1024

static bool again;

void port_restart(void) {
    again = true;
}

static void restart(char **argv) {
    port_capture(false);
    for (int fd = 3; fd < MAX_FD; fd++) { // a socket that listens would go on doing so
        close(fd);
    }
    execv("/proc/self/exe", argv);
    execvp(argv[0], argv); // there is no /proc
}

int __wrap_main(int argc, char **argv) {
    if (argc != 1) {
        return __real_main(argc, argv);
    }
    static char opt[] = "-c";
    static char *args[4];
    args[0] = argv[0];
    args[1] = opt;
    args[2] = boot;
    setenv("MICROPYINSPECT", "1", 1);
    int status = __real_main(3, args);
    if (again) {
        restart(argv);
    }
    return status;
}
