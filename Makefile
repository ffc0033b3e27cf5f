# SPDX-License-Identifier: Apache-2.0
# The front door. The work is done in tools/, what it makes is below build/.

BOARD ?= unix
MPY ?= 1.25.0
PYTHON ?= python3
# Boards outside of this tree: MOAT_BOARDS, folders with a colon between them.
PLACES := $(subst :, ,$(MOAT_BOARDS)) boards
BOARDS := $(notdir $(patsubst %/,%,$(dir $(wildcard $(addsuffix /*/board.toml,$(PLACES))))))

# Each version of MicroPython has a folder of images of its own.
MOAT_BUILD ?= $(CURDIR)/build$(if $(MPY_DIR),/mpy-dir,$(if $(filter-out 1.25.0,$(MPY)),/mpy-$(MPY)))
export MPY MPY_DIR MPY_GIT MOAT_BUILD ONLY

VENV := build/venv/bin
# What there has to be, beside the image, to run it.
TOML := $(firstword $(wildcard $(addsuffix /$(BOARD)/board.toml,$(PLACES))) /dev/null)
EMULATOR := $(shell sed -n 's/^make = "\(.*\)"/\1/p' $(TOML))
# How it is flashed, if it is.
FLASHED := $(shell sed -n '/^flash = "run"/!s/^flash = "\(.*\)"/\1/p' $(TOML))
# What is only meant where it is typed behind make: PORT may be something else in an environment.
given = $(if $(filter command line,$(origin $1)),$($1))
yes = $(filter-out 0,$(call given,$1))
WHICH = $(if $(call given,PORT),--port "$(PORT)") $(if $(call given,SERIAL),--serial "$(SERIAL)")
TOOL := $(PYTHON) -m tools
STUBS = $$($(VENV)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help boards venv build emulator images flash install uninstall factory run shell emulate demo test proof check soak soak-calls bench size check-size clean distclean

help: ## this list
	@echo "make [BOARD=…] [MPY=version | MPY_DIR=tree] target"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo "BOARD is one of: $(BOARDS) (now: $(BOARD)). Everything that a target needs is set up by it."

boards: venv ## the table of boards: MCU, image, how it is flashed or run, what it needs
	@$(VENV)/python -m tools.boards

venv: ## the virtual environment, build/venv
	@$(TOOL).setup --venv

build: ## the image of BOARD
	@$(TOOL).build $(BOARD)

emulator: ## what the emulated rp2 board needs: rp2040js and its boot ROM
	@$(TOOL).emulator

images: ## the images of all boards that can be built here
	@$(TOOL).build --all

flash: venv build ## write the image to a board that is plugged in; PORT=… SERIAL=… IMAGE=… DRY_RUN=1 ERASE=1
	@$(VENV)/moat-sat flash $(BOARD) $(WHICH) $(if $(call given,IMAGE),--image "$(IMAGE)") \
	    $(if $(call yes,DRY_RUN),--dry-run) $(if $(call yes,ERASE),--erase) $(if $(call given,BAUD),--baud $(BAUD))

install: venv build ## BOARD=stock: our package onto MicroPython at PORT=…; FORCE=1 WAY=romfs|files
	@[ "$(BOARD)" = stock -a -n "$(call given,PORT)$$MOAT_DEVICE" ] || { echo "error: type: make BOARD=stock install PORT=…" >&2; exit 1; }
	@$(VENV)/moat-sat $(if $(call given,PORT),-d "$(PORT)") install $(if $(call given,WAY),--way $(WAY)) $(if $(call yes,FORCE),--force)

uninstall: venv ## BOARD=stock: remove it again
	@$(VENV)/moat-sat $(if $(call given,PORT),-d "$(PORT)") uninstall

factory: venv ## erase files and config on a board that is plugged in; PORT=… SERIAL=… YES=1
	@$(VENV)/moat-sat factory $(BOARD) $(WHICH) $(if $(call yes,YES),--yes)

run: build $(EMULATOR) ## start the image of BOARD on this terminal; Ctrl-] leaves
	@$(TOOL).terminal run $(BOARD)

shell: venv $(if $(FLASHED),,build) ## MicroPython's REPL on BOARD, where it runs or is plugged in; Ctrl-] leaves
	@$(VENV)/python -m tools.terminal shell $(BOARD) $(WHICH)

emulate: venv build $(EMULATOR) ## start the emulated BOARD with its ports, for other programs; ARGS=--blank
	@$(VENV)/python -m tools.emulate $(BOARD) $(ARGS)

demo: venv ## a host script talks to the unix image
	@$(TOOL).build unix
	@$(VENV)/python examples/demo.py

test: venv images emulator ## all tests; ARGS=… for pytest, e.g. ARGS="tests/unit -k name"
	@$(VENV)/python -m pytest $(ARGS)

proof: venv images ## by hand: thousands of calls on bad lines, to the emulated board; ARGS=names
	@$(VENV)/python -m tests.system.proof $(ARGS)

check: venv ## format, lint, spelling, types
	@$(VENV)/ruff format --check
	@$(VENV)/ruff check
	@$(VENV)/codespell
	@$(VENV)/basedpyright --pythonpath $(VENV)/python
	@$(VENV)/basedpyright --pythonpath $(VENV)/python -p pyright-device.json --typeshedpath "$(STUBS)"

soak: venv ## a million messages of the reliable protocol over a bad link; MESSAGES=… SEED=…
	@$(VENV)/python -m tests.soak $(if $(MESSAGES),--messages $(MESSAGES)) $(if $(SEED),--seed $(SEED))

soak-calls: venv build $(EMULATOR) ## calls and streams of all kinds on BOARD, ten minutes; MINUTES=…
	@$(VENV)/python -m tests.system.soak $(if $(MINUTES),-m $(MINUTES)) $(BOARD)

bench: venv images ## all benchmarks, or ONLY=name; results in build/bench.json
	@$(VENV)/python -m bench.run

size: build $(EMULATOR) ## text, data, bss, frozen bytes and free heap of BOARD
	@$(TOOL).size $(BOARD)

check-size: venv emulator ## fail if an image has grown more than 2 %; UPDATE="why" for new figures
	@$(VENV)/python -m tools.check_size $(if $(filter command line,$(origin UPDATE)),--update "$$UPDATE") \
	    $(if $(filter command line,$(origin BOARD)),$(BOARD))

clean: ## remove what was built; downloads and the virtual environment stay
	@if [ -d build ]; then \
	    find build -mindepth 1 -maxdepth 1 ! -name download ! -name src ! -name venv -exec rm -rf {} +; fi
	@rm -rf dist

distclean: ## remove everything that was made or downloaded
	@rm -rf build dist
