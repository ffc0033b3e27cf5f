// SPDX-License-Identifier: Apache-2.0
// What a bare-metal driver supplies to port_bare.c.
#ifndef MOAT_PORT_BARE_H
#define MOAT_PORT_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t hw_rx(uint8_t *buf, size_t len);  // take what has arrived, up to a 0x03
bool hw_rx_any(void);
size_t hw_rx_peek(uint8_t *buf, size_t len, size_t skip); // see port_peek
bool hw_tx_room(void);
size_t hw_tx(const uint8_t *buf, size_t len); // send what there is room for

// Back to boot state: capture off, console empty. For mp_init.
void port_bare_reset(void);

#endif
