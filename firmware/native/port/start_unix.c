// SPDX-License-Identifier: Apache-2.0
// Without arguments the image boots as a board does: run the frozen main, then
// the REPL. "-i -m" would not do: there a KeyboardInterrupt ends the process.

#include <stdlib.h>

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
    return __real_main(3, args);
}
