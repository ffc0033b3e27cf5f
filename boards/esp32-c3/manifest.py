# SPDX-License-Identifier: Apache-2.0
# The console port is served without the C module; see firmware/stock. main.py starts the stack,
# and is run in place of the user's, which the stack runs.
include("../../manifest.py")
freeze("$(PORT_DIR)/modules")
freeze("../../firmware/stock", opt=1)
freeze("../../firmware/device/moat/micro", "main.py", opt=1)
