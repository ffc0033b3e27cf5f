"""What has to be decided and computed to install the package on stock MicroPython; no I/O."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from moat.micro.errors import MoatError

__all__ = (
    "MAIN", "OURS", "USER_MAIN", "InstallError", "State", "choose_way", "disk_need", "romfs",
)  # fmt: skip

# Bytes of heap that have to be free after a soft reset: then a host can use all of the stack, and
# 20 KB are left for the user's program. docs/boards.md has the figures.
HEAP_NEED = {"files": 120_000, "romfs": 80_000}

_OLDEST = (1, 25, 0)
_MPY = 6  # version of the .mpy format

USER_MAIN = "user_main.py"
MAIN = f'''"""Starts moat-satellite, which runs {USER_MAIN}; written by `make install`."""
from moat.micro.stock import boot

boot()
'''
OURS = '"""Starts moat-satellite'  # how a main.py of ours begins


class InstallError(MoatError):
    """The package is not installed; one line says why."""


@dataclass(frozen=True)
class State:
    """What a board said about itself."""

    version: tuple[int, int, int]
    machine: str
    mpy: int
    heap: int
    """Bytes free after a soft reset."""
    folder: str
    """The current one after a reset: the user's files."""
    block: int
    """Bytes of a block of its file system."""
    disk: int
    """Bytes free there."""
    lib: str
    """Where the package is put as files."""
    rom: int
    """Bytes of the ROMFS partition; 0: there is none."""
    rom_files: tuple[str, ...]
    """What is in it."""
    main: str
    """The beginning of main.py; "" where there is none."""
    has_user_main: bool
    has_files: bool
    """A package is there as files."""
    is_ours: bool
    """Our own image runs."""

    @property
    def rom_is_ours(self) -> bool:
        """Whether the ROMFS holds our package, and nothing else."""
        return "lib/_moat_image.mpy" in self.rom_files and all(map(_is_ours, self.rom_files))


def _is_ours(name: str) -> bool:
    known = ("lib/moat", "lib/msgpack.mpy", "lib/_msgpack_more.mpy", "lib/_port.mpy")
    return name in (*known, "lib", "lib/_moat_image.mpy")


def choose_way(state: State, package: Mapping[str, bytes], *, way: str, force: bool) -> str:
    """Return "romfs" or "files": how the package gets onto the board.

    Raises:
        InstallError: it cannot be, with the figure.
    """
    _check_version(state)
    way = way or ("romfs" if _rom_fits(state, package, force=force) else "files")
    if way == "romfs":
        _check_rom(state, package, force=force)
    else:
        _check_disk(state, package)
    if state.heap < HEAP_NEED[way]:
        raise InstallError(_no_heap(state, package, way))
    _check_main(state, force=force)
    return way


def _check_version(state: State) -> None:
    if state.is_ours:
        raise InstallError("the board runs an image of moat-satellite: it needs no package")
    number = ".".join(map(str, state.version))
    if state.version < _OLDEST:
        raise InstallError(f"MicroPython {number} runs on the board: 1.25 or newer is needed")
    if state.mpy != _MPY:
        what = f"loads .mpy files of version {state.mpy or 'none'}"
        raise InstallError(f"MicroPython {number} {what}, and these are of version {_MPY}")


def _check_disk(state: State, package: Mapping[str, bytes]) -> None:
    need = disk_need(package, state.block)
    if not state.has_files and need > state.disk:  # else they take the place of the old ones
        raise InstallError(f"{state.disk:,} bytes of its disk are free, {need:,} are needed")


def _rom_fits(state: State, package: Mapping[str, bytes], *, force: bool) -> bool:
    is_free = not state.rom_files or state.rom_is_ours or force
    return is_free and state.rom >= len(romfs(package))


def _check_rom(state: State, package: Mapping[str, bytes], *, force: bool) -> None:
    if not state.rom:
        raise InstallError("the board has no ROMFS partition")
    if (need := len(romfs(package))) > state.rom:
        raise InstallError(f"the ROMFS partition has {state.rom:,} bytes, {need:,} are needed")
    if state.rom_files and not state.rom_is_ours and not force:
        names = ", ".join(state.rom_files[:5])
        raise InstallError(f"the ROMFS has other files ({names}): FORCE=1 replaces them")


def _no_heap(state: State, package: Mapping[str, bytes], way: str) -> str:
    name = {"files": ".mpy files", "romfs": "a ROMFS"}[way]
    text = f"{state.heap:,} bytes of heap are free, {HEAP_NEED[way]:,} are needed for {name}"
    if way == "files" and state.heap >= HEAP_NEED["romfs"]:
        has = f"the board's has {state.rom:,} bytes" if state.rom else "the board has none"
        size = len(romfs(package))
        text += f" ({HEAP_NEED['romfs']:,} with a ROMFS partition of {size:,} bytes: {has})"
    return text


def _check_main(state: State, *, force: bool) -> None:
    if not state.main or state.main.startswith(OURS):
        return
    if state.has_user_main:
        raise InstallError(
            f"the board has a main.py that is not ours, and {USER_MAIN}: remove one of them"
        )
    if not force:
        raise InstallError(
            f"the board has a main.py: FORCE=1 renames it to {USER_MAIN}, which the stack runs"
        )


def disk_need(package: Mapping[str, bytes], block: int) -> int:
    """Bytes that the files take on a file system: whole blocks, and two of them a folder."""
    folders = {posixpath.dirname(name) for name in package}
    blocks = sum(-(-len(data) // block) for data in package.values())
    return (blocks + 2 * len(folders) + 2) * block


def romfs(files: Mapping[str, bytes]) -> bytes:
    """The image of a ROMFS with these files, in a folder `lib`."""
    from mpremote.romfs import VfsRomWriter  # pyright: ignore[reportMissingTypeStubs]

    writer = cast(Any, VfsRomWriter())
    at: list[str] = []
    for name, data in sorted(files.items()):
        *folders, base = ("lib/" + name).split("/")
        common = _common(at, folders)
        for _ in at[common:]:
            writer.closedir()
        for folder in folders[common:]:
            writer.opendir(folder)
        at = folders
        writer.mkfile(base, data)
    for _ in at:
        writer.closedir()
    return bytes(writer.finalise())


def _common(one: list[str], other: Iterable[str]) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n
