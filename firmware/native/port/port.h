// SPDX-License-Identifier: Apache-2.0
// The console port of the stack: what each backend supplies to port.c.
#ifndef MOAT_PORT_H
#define MOAT_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "py/obj.h"
#include "py/stream.h"

// The three streams of the module.
typedef enum { PORT_INP, PORT_OUT, PORT_CONSOLE } port_id_t;

// The byte in front of a message. UTF-8 does not contain it: text that does is
// changed, or it would be taken for a message.
#define MESSAGE_PREFIX 0xc1

static inline uint8_t port_text(uint8_t c) {
    return c == MESSAGE_PREFIX ? '?' : c;
}

// Never block. Return bytes moved, 0 at the end of input, or MP_STREAM_ERROR
// with *err = MP_EAGAIN when nothing can be moved now.
// What port_write gets is one message, or the rest of one.
mp_uint_t port_read(port_id_t id, void *buf, mp_uint_t len, int *err);
mp_uint_t port_write(const void *buf, mp_uint_t len, int *err);

// MP_STREAM_POLL_RD/WR bits of `want` that would not give EAGAIN now.
mp_uint_t port_poll(port_id_t id, mp_uint_t want);

// File descriptor to sleep on, or -1 where there is none.
int port_fileno(port_id_t id);

// Switch capturing of printed text on or off; returns the previous state.
bool port_capture(bool on);

// Copy input that waits, all but the first `skip` bytes of it; returns their
// number. 0 where the operating system looks for a Ctrl-C.
size_t port_peek(uint8_t *buf, size_t len, size_t skip);

// Drop the first `n` bytes of what port_peek shows.
void port_skip(size_t n);

// When the program ends, begin anew. A board does so by itself.
void port_restart(void);

// Bytes of printed text that did not fit, since boot.
size_t port_dropped(void);

#endif
