/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the boot ROM that is worth C: the way to the program, look-up, bits and memory. */
#include <stdint.h>

#define FLASH ((const uint8_t *)0x10000000)
#define BOOT2_RAM ((uint8_t *)0x20041f00)
#define BOOT2_SIZE 252
#define STACK_TOP 0x20041f00 /* below the copy of boot2 */
#define SCRATCH ((volatile uint32_t *)0x4005800c)
#define VECTOR_MAGIC 0xb007c0d3u

void enter(uint32_t stack, uint32_t entry) __attribute__((noreturn));
void rom_usb_boot(uint32_t activity_mask, uint32_t disable_mask) __attribute__((noreturn));
void boot_reset(void) __attribute__((noreturn));

/* CRC-32/MPEG-2, as the data sheet asks for it (2.8.1.3.1). */
static uint32_t crc32(const uint8_t *data, uint32_t length) {
    uint32_t crc = 0xffffffffu;
    while (length--) {
        crc ^= (uint32_t)*data++ << 24;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 0x80000000u ? crc << 1 ^ 0x04c11db7u : crc << 1;
        }
    }
    return crc;
}

uint8_t *rom_memset(uint8_t *to, uint8_t value, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        to[i] = value;
    }
    return to;
}

uint8_t *rom_memcpy(uint8_t *to, const uint8_t *from, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        to[i] = from[i];
    }
    return to;
}

uint32_t rom_popcount(uint32_t value) {
    uint32_t count = 0;
    for (; value; value &= value - 1) {
        count++;
    }
    return count;
}

uint32_t rom_reverse(uint32_t value) {
    uint32_t result = 0;
    for (int bit = 0; bit < 32; bit++) {
        result = result << 1 | (value >> bit & 1);
    }
    return result;
}

uint32_t rom_clz(uint32_t value) {
    uint32_t count = 0;
    while (count < 32 && !(value & 0x80000000u >> count)) {
        count++;
    }
    return count;
}

uint32_t rom_ctz(uint32_t value) {
    uint32_t count = 0;
    while (count < 32 && !(value & 1u << count)) {
        count++;
    }
    return count;
}

/* Two letters and a 16-bit pointer per entry, a zero at the end. */
uint32_t table_lookup(const uint16_t *table, uint32_t code) {
    for (; *table; table += 2) {
        if (*table == (uint16_t)code) {
            return table[1];
        }
    }
    return 0;
}

/* Where a program left the address that the next reset has to go to (data sheet 2.8.1.1). */
static void scratch_vector(void) {
    uint32_t magic = SCRATCH[4], entry = SCRATCH[7];
    if (magic == VECTOR_MAGIC && SCRATCH[5] == (entry ^ -VECTOR_MAGIC)) {
        SCRATCH[4] = 0;
        enter(SCRATCH[6], entry);
    }
}

void boot_reset(void) {
    scratch_vector();
    rom_memcpy(BOOT2_RAM, FLASH, BOOT2_SIZE);
    uint32_t found = FLASH[252] | FLASH[253] << 8 | FLASH[254] << 16 | (uint32_t)FLASH[255] << 24;
    if (crc32(BOOT2_RAM, BOOT2_SIZE) != found) {
        rom_usb_boot(0, 0);
    }
    enter(STACK_TOP, (uint32_t)BOOT2_RAM | 1);
}
