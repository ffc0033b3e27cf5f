// SPDX-License-Identifier: Apache-2.0
// Start-up of a board; see boot_bare.c.
#ifndef MOAT_BOOT_BARE_H
#define MOAT_BOOT_BARE_H

#include <stdbool.h>

// Run a frozen file if there is one; returns 0, or what pyexec does.
int boot_frozen(const char *name, bool allow_interrupt);

// Run the stack. PYEXEC_FORCED_EXIT asks for a soft reset.
int boot_main(void);

#endif
