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

// Take the input up to its first Ctrl-C, if that was typed. What is left of a
// frame, whose reader has gone, may have such a byte as well: so there must be
// nothing but ends of lines before it, and if it is the first byte, it must be
// the only one or another one follow.
static bool take_ctrl_c(void) {
    uint8_t c;
    size_t n = 0, end = 0;
    while (port_peek(&c, 1, n) == 1 && (c == CHAR_CTRL_C || c == '\r' || c == '\n')) {
        n++;
        if (c == CHAR_CTRL_C && !end) {
            end = n;
        }
    }
    if (!end || (n == 1 && port_peek(&c, 1, 1) == 1)) {
        return false;
    }
    port_skip(end);
    return true;
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
