# SPDX-License-Identifier: Apache-2.0
# As boards/qemu-arm, with a partition for a ROMFS in RAM.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an385

CFLAGS += -mthumb -mcpu=cortex-m3 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
CFLAGS += -DMP_CONFIGFILE='"$(BOARD_DIR)/mpconfigboard.h"'
QSTR_GLOBAL_DEPENDENCIES += $(BOARD_DIR)/mpconfigboard.h

LDSCRIPT = $(BOARD_DIR)/../../../boards/qemu-arm/mps2.ld

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o \
	shared/timeutils/timeutils.o

MPY_CROSS_FLAGS += -march=armv7m

MICROPY_HEAP_SIZE ?= 196608
SRC_C += $(BOARD_DIR)/romfs.c
MICROPY_VFS_LFS2 = 1
MICROPY_SSL_MBEDTLS = 0
