// SPDX-License-Identifier: Apache-2.0
// The console port is USB CDC. Input: TinyUSB's task, which the scheduler runs after
// an interrupt, calls tud_cdc_rx_cb; the port's own puts what has come into
// stdin_ringbuf, and takes a 0x03 for a Ctrl-C wherever it is. This one replaces it.

#include "port_bare.h"
#include "py/mphal.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "shared/readline/readline.h"
#include "shared/tinyusb/mp_usbd.h"
#ifndef NO_QSTR // the scan for names has no include path for it
#include "tusb.h"
#endif

// As in qemu/uart_ring.c: until there was a pause, what follows a byte that is no
// ASCII character is not typed, and a Ctrl-C is data there.
#define PAUSE_US 20000

static struct {
    bool binary;      // the last bytes were not typed
    bool held;        // the ring is full, the rest waits in TinyUSB and in the host
    uint32_t last_us; // when the last byte came
} rx;

static bool is_ctrl_c(uint8_t c) {
    uint32_t now_us = mp_hal_ticks_us();
    if (c >= 0x80) {
        rx.binary = true;
    } else if (now_us - rx.last_us > PAUSE_US) {
        rx.binary = false;
    }
    rx.last_us = now_us;
    return c == mp_interrupt_char && !rx.binary;
}

// While Ctrl-C is data a full ring holds the host back. While Ctrl-C interrupts it
// drops, or the Ctrl-C would wait behind it for ever.
void __wrap_tud_cdc_rx_cb(uint8_t itf) {
    uint8_t c;
    rx.held = false;
    while (tud_cdc_n_available(itf)) {
        bool full = ringbuf_free(&stdin_ringbuf) == 0;
        if (full && mp_interrupt_char < 0) {
            rx.held = true;
            return;
        }
        if (tud_cdc_n_read(itf, &c, 1) != 1) {
            return;
        }
        if (is_ctrl_c(c)) {
            mp_sched_keyboard_interrupt();
        } else if (!full) {
            ringbuf_put(&stdin_ringbuf, c);
        }
    }
}

static void resume(void) {
    if (rx.held && (mp_interrupt_char >= 0 || ringbuf_free(&stdin_ringbuf))) {
        __wrap_tud_cdc_rx_cb(0);
    }
}

uintptr_t __real_mp_usbd_cdc_poll_interfaces(uintptr_t want);

// sys.stdin and the REPL call this before they look into the ring.
uintptr_t __wrap_mp_usbd_cdc_poll_interfaces(uintptr_t want) {
    resume();
    return __real_mp_usbd_cdc_poll_interfaces(want);
}

bool hw_rx_any(void) {
    resume();
    return ringbuf_avail(&stdin_ringbuf) > 0;
}

// A chunk ends behind a Ctrl-C: if that stops the stack, what follows it is for
// the REPL and must still be here.
size_t hw_rx(uint8_t *buf, size_t len) {
    size_t n = 0;
    resume();
    while (n < len && ringbuf_avail(&stdin_ringbuf) && (n == 0 || buf[n - 1] != CHAR_CTRL_C)) {
        buf[n++] = ringbuf_get(&stdin_ringbuf);
    }
    resume();
    return n;
}

size_t hw_rx_peek(uint8_t *buf, size_t len, size_t skip) {
    const ringbuf_t *r = &stdin_ringbuf;
    resume(); // once Ctrl-C interrupts, what is held back may have one
    size_t n = 0, there = ringbuf_avail(&stdin_ringbuf);
    for (; n < len && skip + n < there; n++) {
        buf[n] = r->buf[(r->iget + skip + n) % r->size];
    }
    return n;
}

// A host that has not opened the port (DTR) does not hold us up: TinyUSB's FIFO then
// overwrites its oldest bytes.
bool hw_tx_room(void) {
    if (!tud_cdc_connected() || tud_cdc_write_available()) {
        return true;
    }
    mp_usbd_task(); // the scheduler may be locked
    return !tud_cdc_connected() || tud_cdc_write_available();
}

size_t hw_tx(const uint8_t *buf, size_t len) {
    if (!tusb_inited()) {
        return len; // this early there is nobody to read it
    }
    size_t n = tud_cdc_write(buf, len);
    tud_cdc_write_flush();
    return tud_cdc_connected() ? n : len;
}
