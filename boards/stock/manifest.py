# SPDX-License-Identifier: Apache-2.0
# What is installed on a board with stock MicroPython, which has asyncio itself.
freeze("../../firmware/portable", opt=1)
freeze("../../firmware/device", opt=1)
freeze("../../firmware/stock", opt=1)
