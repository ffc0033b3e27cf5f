// SPDX-License-Identifier: Apache-2.0
// Start-up: the port runs boot.py, then main.py unless the raw REPL comes first.
// In place of main.py runs the stack, which runs main.py itself.

#include <string.h>

#include "boot_bare.h"
#include "port_bare.h"
#include "shared/runtime/pyexec.h"
#ifndef NO_QSTR // the scan for names has no include path for it
#include "hardware/watchdog.h"
#endif

int __real_pyexec_file_if_exists(const char *name);
void __real_mp_init(void);

int __wrap_pyexec_file_if_exists(const char *name) {
    if (strcmp(name, "main.py") == 0) {
        return boot_main();
    }
    int ret = __real_pyexec_file_if_exists(name);
    return ret ? ret : 1; // an error in boot.py does not keep the stack from starting
}

void __wrap_mp_init(void) {
    watchdog_disable(); // a soft reset ends whatever has fed it
    port_bare_reset();
    __real_mp_init();
}
