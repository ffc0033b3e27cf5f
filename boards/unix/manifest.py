# SPDX-License-Identifier: Apache-2.0
include("../../manifest.py")
# Its pins, buses and network are simulated.
freeze("../../firmware/sim", opt=1)
freeze("../../firmware/unix", opt=1)
