// SPDX-License-Identifier: Apache-2.0
// Module _port: the raw console port, and what print() writes, as two things.
// The same API everywhere; port_unix.c and port_bare.c do the work.

#include "port.h"
#include "image.h" // made by tools/image.py
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/objstr.h"
#include "py/runtime.h"
#include "shared/readline/readline.h"

// The event loop looks for input in each of its rounds: a sign of life.
static bool polled;
static bool rescuing; // Ctrl-C interrupts, until it does so again

typedef struct {
    mp_obj_base_t base;
    port_id_t id;
} port_stream_t;

static port_id_t stream_id(mp_obj_t self) {
    return ((port_stream_t *)MP_OBJ_TO_PTR(self))->id;
}

static mp_uint_t stream_read(mp_obj_t self, void *buf, mp_uint_t len, int *err) {
    if (stream_id(self) == PORT_OUT) {
        *err = MP_EPERM;
        return MP_STREAM_ERROR;
    }
    return port_read(stream_id(self), buf, len, err);
}

static mp_uint_t stream_write(mp_obj_t self, const void *buf, mp_uint_t len, int *err) {
    if (stream_id(self) != PORT_OUT) {
        *err = MP_EPERM;
        return MP_STREAM_ERROR;
    }
    return port_write(buf, len, err);
}

static void note_poll(void) {
    polled = true;
    if (rescuing) {
        rescuing = false;
        mp_hal_set_interrupt_char(-1);
    }
}

static mp_uint_t stream_ioctl(mp_obj_t self, mp_uint_t request, uintptr_t arg, int *err) {
    port_id_t id = stream_id(self);
    if (request == MP_STREAM_POLL) {
        if (id == PORT_INP) {
            note_poll();
        }
        return port_poll(id, arg & (id == PORT_OUT ? MP_STREAM_POLL_WR : MP_STREAM_POLL_RD));
    }
    if (request == MP_STREAM_CLOSE || request == MP_STREAM_FLUSH) {
        return 0; // nothing is buffered here, and the port stays open
    }
    int fd;
    if (request == MP_STREAM_GET_FILENO && (fd = port_fileno(id)) >= 0) {
        return fd;
    }
    *err = MP_EINVAL;
    return MP_STREAM_ERROR;
}

// Own readinto(): the generic one asks again until the buffer is full, which
// costs two more system calls for every chunk.
static mp_obj_t stream_readinto(mp_obj_t self, mp_obj_t buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_WRITE);
    if (info.len == 0) {
        return MP_OBJ_NEW_SMALL_INT(0);
    }
    int err = 0;
    mp_uint_t n = stream_read(self, info.buf, info.len, &err);
    if (n != MP_STREAM_ERROR) {
        return MP_OBJ_NEW_SMALL_INT(n);
    }
    if (mp_is_nonblocking_error(err)) {
        return mp_const_none;
    }
    mp_raise_OSError(err);
}
static MP_DEFINE_CONST_FUN_OBJ_2(stream_readinto_obj, stream_readinto);

static const mp_rom_map_elem_t stream_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&mp_stream_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_readinto), MP_ROM_PTR(&stream_readinto_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&mp_stream_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&mp_stream_close_obj) },
};
static MP_DEFINE_CONST_DICT(stream_locals, stream_locals_table);

static const mp_stream_p_t stream_p = {
    .read = stream_read,
    .write = stream_write,
    .ioctl = stream_ioctl,
};

static MP_DEFINE_CONST_OBJ_TYPE(
    port_stream_type,
    MP_QSTR_Stream,
    MP_TYPE_FLAG_NONE,
    protocol, &stream_p,
    locals_dict, &stream_locals
    );

static const port_stream_t inp_obj = {{&port_stream_type}, PORT_INP};
static const port_stream_t out_obj = {{&port_stream_type}, PORT_OUT};
static const port_stream_t console_obj = {{&port_stream_type}, PORT_CONSOLE};

static mp_obj_t mod_capture(mp_obj_t on) {
    rescuing = false; // the stack begins, or was interrupted
    return mp_obj_new_bool(port_capture(mp_obj_is_true(on)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_capture_obj, mod_capture);

static mp_obj_t mod_dropped(void) {
    return mp_obj_new_int_from_uint(port_dropped());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_dropped_obj, mod_dropped);

// peek(buf, skip) -> bytes copied
static mp_obj_t mod_peek(mp_obj_t buf, mp_obj_t skip) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(port_peek(info.buf, info.len, mp_obj_get_int(skip)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_peek_obj, mod_peek);

static mp_obj_t interrupt_now(mp_obj_t none) {
    mp_sched_keyboard_interrupt();
    return none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(interrupt_now_obj, interrupt_now);

// interrupt(n): drop input, then KeyboardInterrupt in the program. This is called by
// the scheduler, which prints exceptions and goes on; and where there are threads a
// callback is interrupted as well. So it has to wait for this callback's end.
static mp_obj_t mod_interrupt(mp_obj_t n) {
    port_skip(mp_obj_get_int(n));
    if (!mp_sched_schedule(MP_OBJ_FROM_PTR(&interrupt_now_obj), mp_const_none)) {
        mp_sched_keyboard_interrupt();
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_interrupt_obj, mod_interrupt);

// polled() -> has the event loop looked for input since the last call?
static mp_obj_t mod_polled(void) {
    bool was = polled;
    polled = false;
    return mp_obj_new_bool(was);
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_polled_obj, mod_polled);

// rescue(): Ctrl-C interrupts until the event loop looks for input again.
static mp_obj_t mod_rescue(void) {
    rescuing = true;
    mp_hal_set_interrupt_char(CHAR_CTRL_C);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_rescue_obj, mod_rescue);

// restart(): the end of the program that comes now shall be a soft reset.
static mp_obj_t mod_restart(void) {
    port_restart();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_restart_obj, mod_restart);

static const MP_DEFINE_STR_OBJ(image_obj, MOAT_IMAGE);

static const mp_rom_map_elem_t module_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__port) },
    { MP_ROM_QSTR(MP_QSTR_inp), MP_ROM_PTR(&inp_obj) },
    { MP_ROM_QSTR(MP_QSTR_out), MP_ROM_PTR(&out_obj) },
    { MP_ROM_QSTR(MP_QSTR_console), MP_ROM_PTR(&console_obj) },
    { MP_ROM_QSTR(MP_QSTR_capture), MP_ROM_PTR(&mod_capture_obj) },
    { MP_ROM_QSTR(MP_QSTR_dropped), MP_ROM_PTR(&mod_dropped_obj) },
    { MP_ROM_QSTR(MP_QSTR_polled), MP_ROM_PTR(&mod_polled_obj) },
    { MP_ROM_QSTR(MP_QSTR_rescue), MP_ROM_PTR(&mod_rescue_obj) },
    { MP_ROM_QSTR(MP_QSTR_peek), MP_ROM_PTR(&mod_peek_obj) },
    { MP_ROM_QSTR(MP_QSTR_interrupt), MP_ROM_PTR(&mod_interrupt_obj) },
    { MP_ROM_QSTR(MP_QSTR_restart), MP_ROM_PTR(&mod_restart_obj) },
    { MP_ROM_QSTR(MP_QSTR_image), MP_ROM_PTR(&image_obj) },
    #if defined(__unix__) || defined(__APPLE__)
    { MP_ROM_QSTR(MP_QSTR_bare), MP_ROM_FALSE },
    #else
    { MP_ROM_QSTR(MP_QSTR_bare), MP_ROM_TRUE },
    #endif
};
static MP_DEFINE_CONST_DICT(module_globals, module_table);

const mp_obj_module_t port_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_globals,
};
MP_REGISTER_MODULE(MP_QSTR__port, port_user_cmodule);
