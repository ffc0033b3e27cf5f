# SPDX-License-Identifier: Apache-2.0
include("../../manifest.py")
freeze("$(PORT_DIR)/modules", ("_boot.py", "rp2.py"))
freeze("../../firmware/viper")
