/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stub of the RP2040's boot ROM for the emulator, written from the data sheet (2.8, "Bootrom")
 * and the SDK's headers boot/bootrom_constants.h, pico/bootrom.h, pico/bootrom/sf_table.h.
 *
 * What is much work on a Cortex-M0+ is a trap: one BKPT, whose number tells the emulator what to
 * do with r0-r3 (see traps.js). The numbers of the float functions are their index in the SDK's
 * table, those of the double functions that plus 32.
 */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

#define TRAP_DOUBLE 32
#define TRAP_FLASH_ERASE 64
#define TRAP_FLASH_PROGRAM 65
#define TRAP_USB_BOOT 66
#define TRAP_FAULT 67

    .section .header, "ax"
    .word 0x20041f00            /* initial stack pointer: below the copy of boot2 */
    .word boot_reset + 1
    .word rom_fault + 1         /* NMI */
    .word rom_fault + 1         /* hard fault */
    .byte 'M', 'u', 1, 3        /* magic and version: 3 has all float functions in its table */
    .hword function_table
    .hword data_table
    .hword table_lookup + 1

    .macro entry code, target
    .ascii "\code"
    .hword \target
    .endm

    .balign 4
function_table:
    entry "P3", rom_popcount + 1
    entry "R3", rom_reverse + 1
    entry "L3", rom_clz + 1
    entry "T3", rom_ctz + 1
    entry "MS", rom_memset + 1
    entry "S4", rom_memset + 1
    entry "MC", rom_memcpy + 1
    entry "C4", rom_memcpy + 1
    entry "UB", rom_usb_boot + 1
    entry "IF", rom_release_select + 1 /* connect the flash's pins */
    entry "EX", rom_nothing + 1 /* leave execute in place */
    entry "RE", rom_flash_erase + 1
    entry "RP", rom_flash_program + 1
    entry "FC", rom_release_select + 1 /* flush the cache: there is none */
    entry "CX", rom_nothing + 1 /* enter execute in place */
    .hword 0

data_table:
    entry "CR", copyright
    entry "GR", git_revision
    entry "SF", float_table
    entry "SD", double_table
    .hword 0

copyright:
    .asciz "moat-satellite"
    .balign 4
git_revision:
    .word 0

/* Size in words and version stand before each table. */
    .byte 0, 0, 32, 0
float_table:
    .set i, 0
    .rept 32
    .word float_traps + 4 * i + 1
    .set i, i + 1
    .endr
    .byte 0, 0, 32, 0
double_table:
    .set i, 0
    .rept 32
    .word double_traps + 4 * i + 1
    .set i, i + 1
    .endr

    .text
    .macro trap name, number
    .thumb_func
\name:
    bkpt #\number
    bx lr
    .endm

float_traps:
    .set i, 0
    .rept 32
    bkpt #i
    bx lr
    .set i, i + 1
    .endr
double_traps:
    .set i, 0
    .rept 32
    bkpt #(TRAP_DOUBLE + i)
    bx lr
    .set i, i + 1
    .endr

    trap rom_flash_erase, TRAP_FLASH_ERASE
    trap rom_flash_program, TRAP_FLASH_PROGRAM

    .thumb_func
    .global rom_usb_boot
rom_usb_boot:                   /* r0: activity pin mask, r1: interfaces to leave out */
    bkpt #TRAP_USB_BOOT
    b .

    .thumb_func
rom_fault:
    bkpt #TRAP_FAULT
    b .

    .thumb_func
rom_nothing:
    bx lr

/* The SSI drives the flash's chip select again (2.8.3.1.3: flash_flush_cache does that, too). */
    .thumb_func
rom_release_select:
    ldr r0, =0x4001800c
    movs r1, #0
    str r1, [r0]
    bx lr
    .pool

/* void enter(stack pointer, entry): leaves the boot ROM for good, with lr = 0. */
    .thumb_func
    .global enter
enter:
    msr msp, r0
    movs r0, #0
    mov lr, r0
    bx r1
