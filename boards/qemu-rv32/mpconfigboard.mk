# SPDX-License-Identifier: Apache-2.0
# QEMU's own "virt" machine with a 32-bit RISC-V hart.
QEMU_ARCH = riscv32
QEMU_MACHINE = virt

CFLAGS += -DQEMU_SOC_VIRT
CFLAGS += -DMICROPY_HW_MCU_NAME='"RV32IMC"'
CFLAGS += -DMP_CONFIGFILE='"$(BOARD_DIR)/mpconfigboard.h"'
QSTR_GLOBAL_DEPENDENCIES += $(BOARD_DIR)/mpconfigboard.h

LDSCRIPT = mcu/rv32/virt.ld

SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o \
	shared/timeutils/timeutils.o

MPY_CROSS_FLAGS += -march=rv32imc

MICROPY_HEAP_SIZE ?= 196608
MICROPY_VFS_LFS2 = 1
MICROPY_SSL_MBEDTLS = 0
