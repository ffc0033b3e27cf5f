# SPDX-License-Identifier: Apache-2.0
include("../../manifest.py")
freeze("../../firmware/native/port/qemu", "_boot.py")
freeze("../../firmware/viper")
