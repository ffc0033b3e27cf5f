// SPDX-License-Identifier: Apache-2.0
#include "qemu/mpconfig_qemu.h"
#undef MICROPY_VFS_ROM_IOCTL
#define MICROPY_VFS_ROM_IOCTL (1)
