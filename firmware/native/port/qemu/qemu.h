// SPDX-License-Identifier: Apache-2.0
// Between the machine drivers (hw_arm.c, hw_riscv32.c) and the common part.
#ifndef MOAT_QEMU_H
#define MOAT_QEMU_H

#include <stdbool.h>
#include <stdint.h>

// Supplied by the driver.
void hw_init(void);             // interrupts, 1 ms tick, UART; once after power-on
uint64_t hw_time_us(void);      // since power-on
bool hw_uart_rx_ready(void);
uint8_t hw_uart_rx(void);
void hw_uart_rx_irq(bool on);

// Called by the driver, from its interrupts.
void qemu_uart_isr(void);
void qemu_tick_isr(void);

// Between the common files.
void uart_tick(void);           // from the tick interrupt
void boot_again(void);          // mp_init has run

#endif
