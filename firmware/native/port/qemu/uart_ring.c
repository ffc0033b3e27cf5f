// SPDX-License-Identifier: Apache-2.0
// Receive ring behind the UART interrupt. While Ctrl-C is data a full ring
// holds the sender back (QEMU waits until the register is read). While Ctrl-C
// interrupts a full ring drops, or the Ctrl-C would wait behind it for ever.

#include "port_bare.h"
#include "qemu/qemu.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "shared/readline/readline.h"

// Frames and messages begin with a byte that is no ASCII character. Until there
// was a pause, what follows one is not typed: a Ctrl-C is data there. So a host
// may go on talking while the device starts anew.
#define PAUSE_US 20000

// Like the FIFO of a real UART: the reader is woken when this much is there, or
// when nothing has come for this long. Byte by byte it would work much harder.
#define FIFO_LEVEL   16
#define FIFO_TIME_US 200

static struct {
    bool held;
    bool binary; // the last bytes were not typed
    uint16_t head, len;
    uint32_t last_us; // when the last byte came
    uint8_t data[4096];
} rx;

void qemu_uart_isr(void) {
    while (hw_uart_rx_ready()) {
        bool full = rx.len == sizeof(rx.data);
        if (full && mp_interrupt_char < 0) {
            rx.held = true;
            hw_uart_rx_irq(false);
            return;
        }
        uint8_t c = hw_uart_rx();
        uint32_t now_us = hw_time_us();
        if (c >= 0x80) {
            rx.binary = true;
        } else if (now_us - rx.last_us > PAUSE_US) {
            rx.binary = false;
        }
        rx.last_us = now_us;
        if (c == mp_interrupt_char && !rx.binary) {
            mp_sched_keyboard_interrupt();
        } else if (!full) {
            rx.data[(rx.head + rx.len++) % sizeof(rx.data)] = c;
        }
    }
}

// With interrupts off. Look once by hand: what came meanwhile raises none.
static void resume(void) {
    rx.held = false;
    hw_uart_rx_irq(true);
    qemu_uart_isr();
}

void uart_tick(void) {
    if (rx.held && mp_interrupt_char >= 0) {
        resume();
    }
}

size_t hw_rx_peek(uint8_t *buf, size_t len, size_t skip) {
    size_t n = 0;
    mp_uint_t irq = MICROPY_BEGIN_ATOMIC_SECTION();
    for (; n < len && skip + n < rx.len; n++) {
        buf[n] = rx.data[(rx.head + skip + n) % sizeof(rx.data)];
    }
    MICROPY_END_ATOMIC_SECTION(irq);
    return n;
}

// A chunk ends behind a Ctrl-C: if that stops the stack, what follows it is for
// the REPL and must still be here.
size_t hw_rx(uint8_t *buf, size_t len) {
    size_t n = 0;
    mp_uint_t irq = MICROPY_BEGIN_ATOMIC_SECTION();
    while (n < len && rx.len && (n == 0 || buf[n - 1] != CHAR_CTRL_C)) {
        buf[n++] = rx.data[rx.head];
        rx.head = (rx.head + 1) % sizeof(rx.data);
        rx.len--;
    }
    if (n && rx.held) {
        resume();
    }
    MICROPY_END_ATOMIC_SECTION(irq);
    return n;
}

bool hw_rx_any(void) {
    return rx.len >= FIFO_LEVEL
           || (rx.len && (uint32_t)hw_time_us() - rx.last_us >= FIFO_TIME_US);
}

// sys.stdin and the REPL read the same ring.

int __wrap_mp_hal_stdin_rx_chr(void) {
    uint8_t c;
    while (hw_rx(&c, 1) == 0) {
        mp_event_wait_indefinite();
    }
    return c;
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t want) {
    uintptr_t ready = 0;
    if (hw_rx_any()) {
        ready |= MP_STREAM_POLL_RD;
    }
    if (hw_tx_room()) {
        ready |= MP_STREAM_POLL_WR;
    }
    return ready & want;
}
