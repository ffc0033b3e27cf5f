// SPDX-License-Identifier: Apache-2.0
// QEMU "virt" with one 32-bit hart: 16550 UART behind the PLIC, CLINT timer.

#include "port_bare.h"
#include "qemu/qemu.h"
#include "py/mphal.h"

#define REG(a)  (*(volatile uint32_t *)(a))
#define REG8(a) (*(volatile uint8_t *)(a))

#define MTIMECMP_LO    REG(0x02004000)
#define MTIMECMP_HI    REG(0x02004004)
#define PLIC_PRIO(irq) REG(0x0c000000 + 4 * (irq))
#define PLIC_ENABLE    REG(0x0c002000)
#define PLIC_THRESHOLD REG(0x0c200000)
#define PLIC_CLAIM     REG(0x0c200004)
#define UART_DATA      REG8(0x10000000)
#define UART_IER       REG8(0x10000001)
#define UART_FCR       REG8(0x10000002)
#define UART_LCR       REG8(0x10000003)
#define UART_LSR       REG8(0x10000005)

#define UART_IRQ 10
#define LCR_8N1  0x03
#define LCR_DLAB 0x80
#define LSR_DR   0x01
#define LSR_THRE 0x20
#define FCR_ENABLE     0x01
#define FCR_TRIGGER_14 0xc0
#define HZ       10000000

bool hw_uart_rx_ready(void) {
    return UART_LSR & LSR_DR;
}

uint8_t hw_uart_rx(void) {
    return UART_DATA;
}

void hw_uart_rx_irq(bool on) {
    UART_IER = on;
}

bool hw_tx_room(void) {
    return UART_LSR & LSR_THRE;
}

size_t hw_tx(const uint8_t *buf, size_t len) {
    size_t n = 0;
    while (n < len && hw_tx_room()) {
        UART_DATA = buf[n++];
    }
    return n;
}

static uint64_t read_time(void) {
    uint32_t hi, lo, again;
    do {
        __asm volatile ("rdtimeh %0\n rdtime %1\n rdtimeh %2" : "=r" (hi), "=r" (lo), "=r" (again));
    } while (hi != again);
    return (uint64_t)hi << 32 | lo;
}

uint64_t hw_time_us(void) {
    return read_time() / (HZ / 1000000);
}

static void next_tick(void) {
    uint64_t t = read_time() + HZ / 1000;
    MTIMECMP_HI = 0xffffffff; // no early match between the two halves
    MTIMECMP_LO = t;
    MTIMECMP_HI = t >> 32;
}

__attribute__((interrupt("machine"), used)) void qemu_timer_trap(void) {
    next_tick();
    qemu_tick_isr();
}

__attribute__((interrupt("machine"), used)) void qemu_external_trap(void) {
    uint32_t irq = PLIC_CLAIM;
    if (irq == UART_IRQ) {
        qemu_uart_isr();
    }
    PLIC_CLAIM = irq;
}

// The port's own table cannot be extended (its entries are not weak). Faults
// still go to its register dump.
__attribute__((naked, aligned(256))) static void vectors(void) {
    __asm volatile (
        ".option push\n .option norvc\n"
        "j mtvec_exception\n"   // 0
        "j mtvec_exception\n j mtvec_exception\n j mtvec_exception\n"
        "j mtvec_exception\n j mtvec_exception\n j mtvec_exception\n"
        "j qemu_timer_trap\n"   // 7
        "j mtvec_exception\n j mtvec_exception\n j mtvec_exception\n"
        "j qemu_external_trap\n" // 11
        ".option pop\n");
}

void hw_init(void) {
    MICROPY_BEGIN_ATOMIC_SECTION();
    __asm volatile ("csrw mtvec, %0" :: "r" ((uintptr_t)vectors | 1));

    PLIC_PRIO(UART_IRQ) = 1;
    PLIC_THRESHOLD = 0;
    PLIC_ENABLE = 1 << UART_IRQ;
    // QEMU hands over up to the trigger level (14) per turn of its loop, and
    // fewer after four character times: hence the highest rate, 115200.
    UART_LCR = LCR_DLAB | LCR_8N1;
    UART_DATA = 1; // divisor
    UART_IER = 0;
    UART_LCR = LCR_8N1;
    UART_FCR = FCR_ENABLE | FCR_TRIGGER_14;
    hw_uart_rx_irq(true);
    qemu_uart_isr();

    next_tick();
    __asm volatile ("csrs mie, %0" :: "r" (1 << 7 | 1 << 11));
    // The port's start-up means to enable interrupts, but writes the old value
    // back: do not restore, enable.
    __asm volatile ("csrsi mstatus, 8" ::: "memory");
}
