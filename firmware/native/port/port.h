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

// Never block. Return bytes moved, 0 at the end of input, or MP_STREAM_ERROR
// with *err = MP_EAGAIN when nothing can be moved now.
mp_uint_t port_read(port_id_t id, void *buf, mp_uint_t len, int *err);
mp_uint_t port_write(const void *buf, mp_uint_t len, int *err);

// MP_STREAM_POLL_RD/WR bits of `want` that would not give EAGAIN now.
mp_uint_t port_poll(port_id_t id, mp_uint_t want);

// File descriptor to sleep on, or -1 where there is none.
int port_fileno(port_id_t id);

// Switch capturing of printed text on or off; returns the previous state.
bool port_capture(bool on);

// Remove the input up to its first Ctrl-C, if that is in front of any message.
bool port_take_ctrl_c(void);

// Bytes of printed text that did not fit, since boot.
size_t port_dropped(void);

#endif
