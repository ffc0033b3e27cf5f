# SPDX-License-Identifier: Apache-2.0
# What MicroPython's own images have.
include("$(MPY_DIR)/extmod/asyncio")
freeze("../../../firmware/native/port/qemu", "_boot.py")
