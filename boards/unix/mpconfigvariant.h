// SPDX-License-Identifier: Apache-2.0
// As the port's "standard" variant.
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#include "variants/mpconfigvariant_common.h"
// It has memory enough: names that are looked up often do not displace each other.
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (4096)
