// SPDX-License-Identifier: Apache-2.0
// A partition for a ROMFS, in RAM: it lives as long as the emulator.

#include <string.h>

#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"

#define SIZE (192 * 1024)

static uint8_t memory[SIZE] __attribute__((aligned(4)));
static const MP_DEFINE_MEMORYVIEW_OBJ(segment, 'B', 0, SIZE, memory);

// (command, id, …): see the constants in extmod/vfs.h
mp_obj_t mp_vfs_rom_ioctl(size_t n_args, const mp_obj_t *args) {
    mp_int_t command = mp_obj_get_int(args[0]);
    if (command == MP_VFS_ROM_IOCTL_GET_NUMBER_OF_SEGMENTS) {
        return MP_OBJ_NEW_SMALL_INT(1);
    }
    if (n_args < 2 || mp_obj_get_int(args[1]) != 0) {
        return MP_OBJ_NEW_SMALL_INT(-MP_EINVAL);
    }
    if (command == MP_VFS_ROM_IOCTL_GET_SEGMENT) {
        return MP_OBJ_FROM_PTR(&segment);
    }
    if (command == MP_VFS_ROM_IOCTL_WRITE_PREPARE && n_args > 2) {
        bool fits = mp_obj_get_int(args[2]) <= SIZE;
        return MP_OBJ_NEW_SMALL_INT(fits ? 4 : -MP_EINVAL); // bytes that a write takes at least
    }
    if (command == MP_VFS_ROM_IOCTL_WRITE && n_args > 3) {
        mp_uint_t at = mp_obj_get_int(args[2]);
        mp_buffer_info_t data;
        mp_get_buffer_raise(args[3], &data, MP_BUFFER_READ);
        if (at <= SIZE && data.len <= SIZE - at) {
            memcpy(memory + at, data.buf, data.len);
            return MP_OBJ_NEW_SMALL_INT(0);
        }
    }
    return MP_OBJ_NEW_SMALL_INT(command == MP_VFS_ROM_IOCTL_WRITE_COMPLETE ? 0 : -MP_EINVAL);
}
