// SPDX-License-Identifier: Apache-2.0
// Start-up, as rp2 and its like do it: _boot.py and /boot.py always; the stack
// only when the friendly REPL was to come first after a (soft) reset, so that
// mpremote, which resets from the raw REPL, finds the machine quiet.

#include "port.h"
#include "qemu/qemu.h"
#include "py/frozenmod.h"
#include "py/mphal.h"
#include "shared/readline/readline.h"
#include "shared/runtime/pyexec.h"

#define MAIN "moat/micro/main.py"

int __real_pyexec_friendly_repl(void);
int __real_pyexec_raw_repl(void);

static bool fresh;

void boot_again(void) {
    fresh = true;
}

static int run_frozen(const char *name, bool allow_interrupt) {
    if (mp_find_frozen_module(name, NULL, NULL) != MP_IMPORT_STAT_FILE) {
        return 0;
    }
    return pyexec_frozen_module(name, allow_interrupt);
}

// Take the input up to its first Ctrl-C, if that is in front of any message or
// frame: these begin with a byte that is no ASCII character.
static bool take_ctrl_c(void) {
    uint8_t c;
    for (size_t n = 0; port_peek(&c, 1, n) == 1 && c < 0x80; n++) {
        if (c == CHAR_CTRL_C) {
            port_skip(n + 1);
            return true;
        }
    }
    return false;
}

// PYEXEC_FORCED_EXIT asks for a soft reset.
static int boot(bool with_main) {
    if (!fresh) {
        return 0;
    }
    fresh = false;
    int ret = run_frozen("_boot.py", false);
    if (!(ret & PYEXEC_FORCED_EXIT)) {
        ret = pyexec_file_if_exists("/boot.py");
    }
    if (!(ret & PYEXEC_FORCED_EXIT) && with_main) {
        // A Ctrl-C that came while _boot.py ran was taken as data. Whoever sent
        // it (mpremote sends it once) wants the REPL. First make it interrupt,
        // then look, so that none slips through between.
        mp_hal_set_interrupt_char(CHAR_CTRL_C);
        if (take_ctrl_c()) {
            mp_hal_set_interrupt_char(-1);
        } else {
            ret = run_frozen(MAIN, true);
        }
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
