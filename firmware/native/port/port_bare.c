// SPDX-License-Identifier: Apache-2.0
// Backend of _port for microcontrollers: printed text goes through
// mp_hal_stdout_tx_strn (the linker wraps it), bytes through a driver.

#include "port.h"
#include "port_bare.h"
#include "py/mperrno.h"
#include "extmod/misc.h"
#include "py/mphal.h"

// A port without a reader may hold up print() this long, then text is dropped.
#define TX_TIMEOUT_MS 500

static struct {
    bool capture;
    bool stalled;       // the last direct print timed out: do not wait again
    bool inside;        // a message has not been written to its end
    uint16_t head, len; // of the text in ring[]
    size_t dropped;
    uint8_t ring[2048];
} con;

void port_bare_reset(void) {
    con.capture = con.stalled = con.inside = false;
    con.head = con.len = 0;
}

static uint8_t ring_get(void) {
    uint8_t c = con.ring[con.head];
    con.head = (con.head + 1) % sizeof(con.ring);
    con.len--;
    return c;
}

static bool wait_room(void) {
    mp_uint_t t0 = mp_hal_ticks_ms();
    while (!hw_tx_room()) {
        if (con.stalled || mp_hal_ticks_ms() - t0 > TX_TIMEOUT_MS) {
            con.stalled = true;
            return false;
        }
    }
    con.stalled = false;
    return true;
}

static void tx_direct(const uint8_t *s, size_t len) {
    while (len) {
        if (!wait_room()) {
            con.dropped += len;
            return;
        }
        size_t n = hw_tx(s, len);
        s += n;
        len -= n;
    }
}

static void tx_char(uint8_t c) {
    hw_tx(&c, 1);
}

static bool may_tx(void) {
    return !con.inside && hw_tx_room();
}

// Text goes out at once, unless that would split a message or has to wait: then
// it is for the stack to send. When there is too much of that it does wait.
static void tx_captured(const uint8_t *s, size_t len) {
    for (; len; len--) {
        uint8_t c = port_text(*s++);
        while (con.len && may_tx()) {
            tx_char(ring_get());
        }
        if (con.len == 0 && may_tx()) {
            tx_char(c);
            continue;
        }
        if (con.len == sizeof(con.ring)) {
            if (con.inside || !wait_room()) {
                con.dropped += len;
                return;
            }
            tx_char(ring_get());
        }
        con.ring[(con.head + con.len++) % sizeof(con.ring)] = c;
    }
}

// Everything the interpreter prints ends here, with \n already made \r\n.
mp_uint_t __wrap_mp_hal_stdout_tx_strn(const char *str, size_t len) {
    mp_os_dupterm_tx_strn(str, len);
    if (con.capture) {
        tx_captured((const uint8_t *)str, len);
    } else {
        tx_direct((const uint8_t *)str, len);
    }
    return len;
}

bool port_capture(bool on) {
    bool was = con.capture;
    con.capture = on;
    con.inside = false;
    while (!on && con.len) {
        uint8_t c = ring_get();
        tx_direct(&c, 1);
    }
    return was;
}

void port_restart(void) {
}

size_t port_dropped(void) {
    return con.dropped;
}

static size_t console_read(uint8_t *buf, size_t len) {
    size_t n = 0;
    while (n < len && con.len) {
        buf[n++] = ring_get();
    }
    return n;
}

mp_uint_t port_read(port_id_t id, void *buf, mp_uint_t len, int *err) {
    mp_uint_t n = id == PORT_INP ? hw_rx(buf, len) : console_read(buf, len);
    if (n == 0 && len) {
        *err = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return n;
}

mp_uint_t port_write(const void *buf, mp_uint_t len, int *err) {
    mp_uint_t n = hw_tx_room() ? hw_tx(buf, len) : 0;
    con.inside = n < len;
    if (n == 0 && len) {
        *err = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return n;
}

mp_uint_t port_poll(port_id_t id, mp_uint_t want) {
    bool ready = id == PORT_INP ? hw_rx_any() : id == PORT_OUT ? hw_tx_room() : con.len > 0;
    return ready ? want : 0;
}

int port_fileno(port_id_t id) {
    (void)id;
    return -1;
}

size_t port_peek(uint8_t *buf, size_t len, size_t skip) {
    return hw_rx_peek(buf, len, skip);
}

void port_skip(size_t n) {
    uint8_t c;
    while (n-- && hw_rx(&c, 1)) {
    }
}
