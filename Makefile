# SPDX-License-Identifier: Apache-2.0
BOARD ?= unix
PY := python3
build: ; @$(PY) -m tools.build $(BOARD)
.PHONY: build
