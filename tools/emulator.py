"""Make what the emulated RP2040 board needs, in build/emulator: rp2040js and the boot ROM.

    python3 -m tools.emulator

rp2040js comes from npm by the version and the hash in emulator/package-lock.json; the boot ROM is
compiled from emulator/bootrom. What is up to date is left alone.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from moat.micro.boards import Need
from tools.common import ROOT, ToolError, lock, main, run, say
from tools.setup import ensure

__all__ = ("BOOTROM", "MAIN", "prepare")

SOURCE = ROOT / "emulator"
BUILT = ROOT / "build" / "emulator"
MAIN = SOURCE / "main.js"
BOOTROM = BUILT / "bootrom.bin"

_NEEDS = (
    Need("node", "nodejs", ""),
    Need("npm", "npm", ""),
    Need("arm-none-eabi-gcc", "gcc-arm-none-eabi", ""),
)
_PACKAGE = ("package.json", "package-lock.json", ".npmrc")
_FLAGS = (
    "-mcpu=cortex-m0plus", "-mthumb", "-Os", "-ffreestanding", "-fno-builtin",
    "-fno-tree-loop-distribute-patterns", "-nostdlib", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip


def prepare() -> None:
    """Install and compile what is missing or outdated.

    Raises:
        ToolError: a tool is missing or fails; one line.
    """
    ensure(_NEEDS, "the emulator")
    with lock(ROOT / "build" / "download" / ".emulator-lock"):
        BUILT.mkdir(parents=True, exist_ok=True)
        _once("rp2040js", [SOURCE / name for name in _PACKAGE], _install)
        _once("bootrom", sorted((SOURCE / "bootrom").iterdir()), _compile)


def _once(what: str, sources: list[Path], make: Callable[[], None]) -> None:
    """Call `make` unless it was done with these sources."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    stamp = BUILT / f".{what}-stamp"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    stamp.unlink(missing_ok=True)
    make()
    stamp.write_text(digest)


def _install() -> None:
    say("emulator: installing rp2040js")
    for name in _PACKAGE:
        shutil.copy(SOURCE / name, BUILT / name)
    _call("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(BUILT))


def _compile() -> None:
    say("emulator: compiling the boot ROM")
    folder, elf = SOURCE / "bootrom", BUILT / "bootrom.elf"
    files = [str(folder / name) for name in ("bootrom.S", "bootrom.c")]
    _call("arm-none-eabi-gcc", *_FLAGS, "-T", str(folder / "bootrom.ld"), *files, "-o", str(elf))
    _call("arm-none-eabi-objcopy", "-O", "binary", str(elf), str(BOOTROM))


def _call(*command: str) -> None:
    done = run(command)
    if done.returncode:
        raise ToolError(f"{' '.join(command[:2])} failed: {done.stdout.strip()[-600:]}")


def _main(args: list[str]) -> None:
    if args:
        raise ToolError("usage: python3 -m tools.emulator")
    prepare()


if __name__ == "__main__":
    main(_main)
