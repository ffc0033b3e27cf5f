# SPDX-License-Identifier: Apache-2.0
# Which backend: the unix port knows its variant, a QEMU board sets QEMU_ARCH. With
# MOAT_STOCK the image is as if it were not ours: without the module _port, and with main.py.
PORT_MOD_DIR := $(USERMOD_DIR)
comma := ,
ifeq ($(MOAT_STOCK),)
SRC_USERMOD_C += $(PORT_MOD_DIR)/port.c
else
CFLAGS_USERMOD += -DMOAT_STOCK=1
endif
CFLAGS_USERMOD += -I$(PORT_MOD_DIR) -I$(BUILD)/image

ifneq ($(QEMU_ARCH),)
SRC_USERMOD_C += $(addprefix $(PORT_MOD_DIR)/, \
	port_bare.c boot_bare.c qemu/qemu.c qemu/boot.c qemu/uart_ring.c qemu/hw_$(QEMU_ARCH).c)
QSTR_GLOBAL_DEPENDENCIES += $(PORT_MOD_DIR)/qemu/mpconfig_qemu.h
LDFLAGS_USERMOD += $(addprefix -Wl$(comma)--wrap=, \
	mp_hal_stdout_tx_strn mp_hal_stdin_rx_chr mp_hal_stdio_poll \
	mp_init pyexec_friendly_repl pyexec_raw_repl)
else ifneq ($(VARIANT_DIR),)
SRC_USERMOD_C += $(PORT_MOD_DIR)/port_unix.c $(PORT_MOD_DIR)/start_unix.c
LDFLAGS_USERMOD += -Wl,--wrap=main -Wl,--wrap=write
endif
