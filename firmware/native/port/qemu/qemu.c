// SPDX-License-Identifier: Apache-2.0
// Module _qemu (RAM disk, timer) and the time functions of both QEMU boards.

#include <string.h>

#include "port_bare.h"
#include "qemu/qemu.h"
#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"

// ---- time

mp_uint_t mp_hal_ticks_us(void) {
    return hw_time_us();
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return hw_time_us();
}

mp_uint_t mp_hal_ticks_ms(void) {
    return hw_time_us() / 1000;
}

uint64_t mp_hal_time_ns(void) {
    return hw_time_us() * 1000;
}

void mp_hal_delay_us(mp_uint_t us) {
    mp_uint_t t0 = mp_hal_ticks_us();
    while (mp_hal_ticks_us() - t0 < us) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    mp_uint_t t0 = mp_hal_ticks_ms();
    mp_event_handle_nowait();
    while (mp_hal_ticks_ms() - t0 < ms) {
        mp_event_wait_ms(1);
    }
}

// ---- _qemu.Timer(period_ms, callback): callback(timer) from the scheduler

typedef struct _qemu_timer_t {
    mp_obj_base_t base;
    struct _qemu_timer_t *next;
    mp_obj_t callback;
    uint32_t period, left;
    bool queued; // not twice in the scheduler's short queue
} qemu_timer_t;

MP_REGISTER_ROOT_POINTER(struct _qemu_timer_t *qemu_timers);

static void timer_unlink(qemu_timer_t *t) {
    mp_uint_t irq = MICROPY_BEGIN_ATOMIC_SECTION();
    for (qemu_timer_t **p = &MP_STATE_VM(qemu_timers); *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            break;
        }
    }
    MICROPY_END_ATOMIC_SECTION(irq);
}

static mp_obj_t timer_fire(mp_obj_t self) {
    qemu_timer_t *t = MP_OBJ_TO_PTR(self);
    t->queued = false;
    if (t->callback != MP_OBJ_NULL) {
        mp_call_function_1(t->callback, self);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(timer_fire_obj, timer_fire);

void qemu_tick_isr(void) {
    static uint32_t last;
    uint32_t now = mp_hal_ticks_ms();
    uint32_t passed = now - last;
    last = now;
    uart_tick();
    for (qemu_timer_t *t = MP_STATE_VM(qemu_timers); t; t = t->next) {
        if (t->left > passed) {
            t->left -= passed;
            continue;
        }
        t->left = t->period;
        if (!t->queued) {
            t->queued = mp_sched_schedule(MP_OBJ_FROM_PTR(&timer_fire_obj), MP_OBJ_FROM_PTR(t));
        }
    }
}

static mp_obj_t timer_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    mp_int_t period = mp_obj_get_int(args[0]);
    if (period < 1) {
        mp_raise_ValueError(NULL);
    }
    qemu_timer_t *t = mp_obj_malloc(qemu_timer_t, type);
    t->callback = args[1];
    t->period = t->left = period;
    t->queued = false;
    mp_uint_t irq = MICROPY_BEGIN_ATOMIC_SECTION();
    t->next = MP_STATE_VM(qemu_timers);
    MP_STATE_VM(qemu_timers) = t;
    MICROPY_END_ATOMIC_SECTION(irq);
    return MP_OBJ_FROM_PTR(t);
}

static mp_obj_t timer_deinit(mp_obj_t self) {
    qemu_timer_t *t = MP_OBJ_TO_PTR(self);
    timer_unlink(t);
    t->callback = MP_OBJ_NULL;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(timer_deinit_obj, timer_deinit);

static const mp_rom_map_elem_t timer_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_deinit), MP_ROM_PTR(&timer_deinit_obj) },
};
static MP_DEFINE_CONST_DICT(timer_locals, timer_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    qemu_timer_type,
    MP_QSTR_Timer,
    MP_TYPE_FLAG_NONE,
    make_new, timer_make_new,
    locals_dict, &timer_locals
    );

// ---- _qemu.disk: outside the heap, so that it survives a soft reset

#define BLOCK_SIZE 512
#define BLOCKS     512

static uint8_t disk[BLOCKS][BLOCK_SIZE];

// (block, buf[, offset]) -> the memory meant, checked
static uint8_t *disk_args(size_t n_args, const mp_obj_t *args, mp_buffer_info_t *buf, int flags) {
    mp_get_buffer_raise(args[2], buf, flags);
    mp_uint_t block = mp_obj_get_int(args[1]);
    mp_uint_t offset = n_args > 3 ? mp_obj_get_int(args[3]) : 0;
    if (block >= BLOCKS || offset > BLOCK_SIZE
        || buf->len > sizeof(disk) - block * BLOCK_SIZE - offset) {
        mp_raise_OSError(MP_EINVAL);
    }
    return &disk[block][0] + offset;
}

static mp_obj_t disk_readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buf;
    const uint8_t *mem = disk_args(n_args, args, &buf, MP_BUFFER_WRITE);
    memcpy(buf.buf, mem, buf.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(disk_readblocks_obj, 3, 4, disk_readblocks);

static mp_obj_t disk_writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buf;
    uint8_t *mem = disk_args(n_args, args, &buf, MP_BUFFER_READ);
    memcpy(mem, buf.buf, buf.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(disk_writeblocks_obj, 3, 4, disk_writeblocks);

static mp_obj_t disk_ioctl(mp_obj_t self, mp_obj_t op, mp_obj_t arg) {
    switch (mp_obj_get_int(op)) {
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(BLOCKS);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK_SIZE);
        case MP_BLOCKDEV_IOCTL_INIT:
        case MP_BLOCKDEV_IOCTL_DEINIT:
        case MP_BLOCKDEV_IOCTL_SYNC:
        case MP_BLOCKDEV_IOCTL_BLOCK_ERASE: // memory needs no erasing
            return MP_OBJ_NEW_SMALL_INT(0);
        default:
            return mp_const_none;
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(disk_ioctl_obj, disk_ioctl);

static const mp_rom_map_elem_t disk_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&disk_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&disk_writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&disk_ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(disk_locals, disk_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    qemu_disk_type,
    MP_QSTR_RAMDisk,
    MP_TYPE_FLAG_NONE,
    locals_dict, &disk_locals
    );
static const mp_obj_base_t disk_obj = { &qemu_disk_type };

static const mp_rom_map_elem_t module_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__qemu) },
    { MP_ROM_QSTR(MP_QSTR_disk), MP_ROM_PTR(&disk_obj) },
    { MP_ROM_QSTR(MP_QSTR_Timer), MP_ROM_PTR(&qemu_timer_type) },
};
static MP_DEFINE_CONST_DICT(module_globals, module_table);

const mp_obj_module_t qemu_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_globals,
};
MP_REGISTER_MODULE(MP_QSTR__qemu, qemu_user_cmodule);

// ---- (soft) reset

void __real_mp_init(void);

void __wrap_mp_init(void) {
    static bool powered;
    MP_STATE_VM(qemu_timers) = NULL; // first: they were on the heap that is gone
    port_bare_reset();
    __real_mp_init();
    if (!powered) {
        powered = true;
        hw_init();
    }
    boot_again();
}
