# SPDX-License-Identifier: Apache-2.0
# What every image freezes: the portable and the device tree, and asyncio. A board's
# manifest includes this and adds its own.
#
# Optimisation level 1 drops asserts (docstrings and annotations never cost anything).
# Level 3 would drop line numbers, too: they cost 7 % of the frozen code (2 KB), and an
# error that was raised on a device is worth reading.
include("$(MPY_DIR)/extmod/asyncio")
freeze("firmware/portable", opt=1)
freeze("firmware/device", opt=1)
