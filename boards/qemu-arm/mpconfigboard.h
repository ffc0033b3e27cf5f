// SPDX-License-Identifier: Apache-2.0
#include "qemu/mpconfig_qemu.h"
