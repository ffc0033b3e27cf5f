// SPDX-License-Identifier: Apache-2.0
// Start-up, as rp2 and its like do it: _boot.py and /boot.py always; the stack
// only when the friendly REPL was to come first after a (soft) reset, so that
// mpremote, which resets from the raw REPL, finds the machine quiet.

#include "boot_bare.h"
#include "port.h"
#include "qemu/qemu.h"
#include "shared/runtime/pyexec.h"

int __real_pyexec_friendly_repl(void);
int __real_pyexec_raw_repl(void);

static bool fresh;

void boot_again(void) {
    fresh = true;
}

// PYEXEC_FORCED_EXIT asks for a soft reset.
static int boot(bool with_main) {
    if (!fresh) {
        return 0;
    }
    fresh = false;
    int ret = boot_frozen("_boot.py", false);
    if (!(ret & PYEXEC_FORCED_EXIT)) {
        ret = pyexec_file_if_exists("/boot.py");
    }
    if (!(ret & PYEXEC_FORCED_EXIT) && with_main) {
        #if MOAT_STOCK
        ret = pyexec_file_if_exists("/main.py");
        #else
        ret = boot_main();
        #endif
    }
    port_capture(false); // whatever happened, the REPL is visible
    return ret & PYEXEC_FORCED_EXIT;
}

int __wrap_pyexec_friendly_repl(void) {
    int ret = boot(true);
    return ret ? ret : __real_pyexec_friendly_repl();
}

int __wrap_pyexec_raw_repl(void) {
    int ret = boot(false);
    return ret ? ret : __real_pyexec_raw_repl();
}
