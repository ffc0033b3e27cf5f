# SPDX-License-Identifier: Apache-2.0
# What MicroPython's own image has, but for drivers from micropython-lib.
include("$(MPY_DIR)/extmod/asyncio")
freeze("$(PORT_DIR)/modules", ("_boot.py", "rp2.py"))
