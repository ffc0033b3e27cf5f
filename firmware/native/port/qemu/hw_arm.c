// SPDX-License-Identifier: Apache-2.0
// mps2-an385 (Cortex-M3 at 25 MHz): CMSDK UART 0 and timer 0, SysTick.

#include <string.h>

#include "port_bare.h"
#include "qemu/qemu.h"
#include "py/mphal.h"

#define REG(a) (*(volatile uint32_t *)(a))

#define TIMER_CTRL    REG(0x40000000)
#define TIMER_VALUE   REG(0x40000004)
#define TIMER_RELOAD  REG(0x40000008)
#define UART_DATA     REG(0x40004000)
#define UART_STATE    REG(0x40004004)
#define UART_CTRL     REG(0x40004008)
#define UART_INTSTAT  REG(0x4000400c)
#define SYST_CSR      REG(0xe000e010)
#define SYST_RVR      REG(0xe000e014)
#define SYST_CVR      REG(0xe000e018)
#define NVIC_ISER     REG(0xe000e100)
#define SCB_VTOR      REG(0xe000ed08)

#define TX_FULL  1
#define RX_FULL  2
#define RX_INT   2
#define RX_INTEN 8
#define HZ       25000000

#define VECTORS_CORE 16
#define VECTORS_IRQ  32
#define VECTOR_SYSTICK 15

extern const uint32_t isr_vector[VECTORS_CORE]; // the port's, in read-only memory
static uint32_t vectors[VECTORS_CORE + VECTORS_IRQ] __attribute__((aligned(256)));

bool hw_uart_rx_ready(void) {
    return UART_STATE & RX_FULL;
}

uint8_t hw_uart_rx(void) {
    return UART_DATA;
}

void hw_uart_rx_irq(bool on) {
    UART_CTRL = on ? UART_CTRL | RX_INTEN : UART_CTRL & ~RX_INTEN;
}

bool hw_tx_room(void) {
    return !(UART_STATE & TX_FULL);
}

size_t hw_tx(const uint8_t *buf, size_t len) {
    size_t n = 0;
    while (n < len && hw_tx_room()) {
        UART_DATA = buf[n++];
    }
    return n;
}

static void uart_handler(void) {
    UART_INTSTAT = RX_INT; // before reading, or the next byte's request is lost
    qemu_uart_isr();
}

static void systick_handler(void) {
    hw_time_us(); // at least once per turn of the timer (171 s)
    qemu_tick_isr();
}

// A free-running counter, so that ticks lost on a busy host cost no time.
uint64_t hw_time_us(void) {
    static uint64_t cycles;
    static uint32_t last = 0xffffffff;
    mp_uint_t irq = MICROPY_BEGIN_ATOMIC_SECTION();
    uint32_t now = TIMER_VALUE;
    cycles += last - now;
    last = now;
    uint64_t c = cycles;
    MICROPY_END_ATOMIC_SECTION(irq);
    return c / (HZ / 1000000);
}

void hw_init(void) {
    TIMER_RELOAD = TIMER_VALUE = 0xffffffff;
    TIMER_CTRL = 1;

    memcpy(vectors, isr_vector, sizeof(uint32_t) * VECTORS_CORE);
    vectors[VECTOR_SYSTICK] = (uint32_t)systick_handler;
    vectors[VECTORS_CORE] = (uint32_t)uart_handler;
    SCB_VTOR = (uint32_t)vectors;

    SYST_RVR = HZ / 1000 - 1;
    SYST_CVR = 0;
    SYST_CSR = 7; // core clock, interrupt, enable

    NVIC_ISER = 1;
    hw_uart_rx_irq(true);
    mp_uint_t irq = MICROPY_BEGIN_ATOMIC_SECTION();
    qemu_uart_isr(); // a byte that was there first raises no interrupt
    MICROPY_END_ATOMIC_SECTION(irq);
}
