// SPDX-License-Identifier: Apache-2.0
// The stack's start on a board: unless there is a Ctrl-C already.

#include "boot_bare.h"
#include "port.h"
#include "py/frozenmod.h"
#include "py/mphal.h"
#include "shared/readline/readline.h"
#include "shared/runtime/interrupt_char.h"
#include "shared/runtime/pyexec.h"

#define MAIN "moat/micro/main.py"

int boot_frozen(const char *name, bool allow_interrupt) {
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

int boot_main(void) {
    int ret = 0;
    // A Ctrl-C that came while _boot.py ran was taken as data. Whoever sent it
    // (mpremote sends it once) wants the REPL. First make it interrupt, then look, so
    // that none slips through between.
    mp_hal_set_interrupt_char(CHAR_CTRL_C);
    if (take_ctrl_c()) {
        mp_hal_set_interrupt_char(-1);
    } else {
        ret = boot_frozen(MAIN, true);
    }
    port_capture(false); // whatever happened, the REPL is visible
    return ret;
}
