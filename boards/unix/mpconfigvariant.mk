# SPDX-License-Identifier: Apache-2.0
# The parts that need submodules or libraries of the system are left out.
FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py
MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_SSL = 0
MICROPY_SSL_AXTLS = 0
MICROPY_SSL_MBEDTLS = 0
# This image is for speed, not for size; nothing here uses threads.
COPT = -O2
MICROPY_PY_THREAD = 0
