// SPDX-License-Identifier: Apache-2.0
// What our images change in MicroPython's rp2 port.
#include <stdint.h>
#include <mpconfigport.h>

#if !MOAT_STOCK
// Input waits here; what does not fit waits in the host.
#define MICROPY_HW_STDIN_BUFFER_LEN (1024)
#endif

#if !MICROPY_PY_NETWORK
// Without a network there is no use for TLS; micropython.cmake leaves its library
// out. That is what hashlib.sha1 and cryptolib need, too.
#undef MICROPY_SSL_MBEDTLS
#undef MICROPY_PY_HASHLIB_SHA1
#define MICROPY_PY_HASHLIB_SHA1 (0)
#undef MICROPY_PY_CRYPTOLIB
#define MICROPY_PY_CRYPTOLIB (0)
#endif
