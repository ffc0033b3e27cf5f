"""Install our package on a board that runs stock MicroPython, as files or as a ROMFS image.

The board is measured before anything is written. main.py is written last: a copy that was cut
short starts nothing.
"""

from __future__ import annotations

import ast
import hashlib
import json
import posixpath
import zipfile
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from pathlib import Path

from moat.micro.device import connect
from moat.micro.flash._stock import (
    MAIN,
    OURS,
    USER_MAIN,
    InstallError,
    State,
    choose_way,
    romfs,
)
from moat.micro.flash.by_mpremote import Repl, open_repl, restart

__all__ = ("image_hash", "install", "measure", "read_package", "uninstall", "verify")

_CHUNK = 1024  # bytes that are sent at once
_ROM_CHUNK = 4096
_EMPTY_ROM = b"\xd2\xcd\x31\x00"

Say = Callable[[str], object]
Progress = Callable[[str, int, int], object]
"""Called with what is done, how many bytes of it, and of how many."""

# It prints a tuple. The heap is measured first: what comes later takes some.
_MEASURE = """
import gc
gc.collect()
f = gc.mem_free()
import os, sys
def ls(d):
    try:
        return os.listdir(d)
    except OSError:
        return []
def rom():
    try:
        import vfs
        dev = vfs.rom_ioctl(2, 0)
    except (ImportError, AttributeError):
        return 0
    if isinstance(dev, int):
        return 0
    return dev.ioctl(4, 0) * dev.ioctl(5, 0) if hasattr(dev, 'ioctl') else len(dev)
def head(name):
    try:
        with open(name) as file:
            return file.read(40) or ' '
    except OSError:
        return ''
def ours():
    try:
        import _port
    except Exception:
        return False
    return getattr(_port, '__file__', '')[:1] != '/'
s = sys.implementation
d = os.getcwd()
v = os.statvfs(d)
libs = [p for p in sys.path if p.endswith('/lib') and p[:4] != '/rom']
lib = libs[-1] if libs else d.rstrip('/') + '/lib'
print(repr((
    s.version[:3], s._machine, getattr(s, '_mpy', 0) & 255, f, d, v[0], v[1] * v[3], lib, rom(),
    tuple(ls('/rom') + ['lib/' + n for n in ls('/rom/lib')]), head('main.py'),
    'user_main.py' in ls(d), 'moat' in ls(lib), ours(),
)))
"""

_REMOVE = """
import os
def rm(p):
    try:
        os.remove(p)
    except OSError:
        try:
            names = os.listdir(p)
        except OSError:
            return
        for n in names:
            rm(p + '/' + n)
        os.rmdir(p)
"""

_HASH_FILES = """
from hashlib import sha256
h = sha256()
b = bytearray(512)
m = memoryview(b)
def add(name):
    with open(name, 'rb') as f:
        while True:
            n = f.readinto(b)
            if not n:
                break
            h.update(m[:n])
"""


def read_package(path: Path) -> dict[str, bytes]:
    """The files of the package that `make BOARD=stock build` has made.

    Raises:
        InstallError: it is not there, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as pack:
            return {name: pack.read(name) for name in pack.namelist()}
    except FileNotFoundError:
        raise InstallError(f"{path} is not there; run: make BOARD=stock build") from None
    except (OSError, zipfile.BadZipFile) as exc:
        raise InstallError(f"{path}: {exc}") from None


def image_hash(path: Path) -> str:
    """What sys.info tells when this package runs.

    Raises:
        InstallError: it is not known.
    """
    try:
        text = path.with_name("commands.json").read_text(encoding="utf-8")
        return str(json.loads(text)["image"])
    except (OSError, ValueError, KeyError) as exc:
        raise InstallError(f"{path}: its hash is not known: {exc}") from None


def measure(repl: Repl) -> State:
    """What the board says about itself.

    Raises:
        InstallError: that makes no sense: it has no file system, say.
    """
    text = repl.exec(_MEASURE)
    try:
        return State(*ast.literal_eval(text.decode()))
    except (SyntaxError, TypeError, ValueError):
        raise InstallError(f"the board's answer makes no sense: {text[-200:]!r}") from None


def install(
    port: str,
    package: Mapping[str, bytes],
    *,
    way: str = "",
    force: bool = False,
    say: Say,
    progress: Progress,
) -> None:
    """Measure the board, copy the package, write main.py, and start it.

    Args:
        port: a serial port, or tcp:HOST:PORT.
        package: see `read_package`.
        way: "romfs" or "files"; "" for the first one that is possible.
        force: rename a main.py that is not ours, replace a ROMFS that is not ours.
        say: is called with lines for the user.
        progress: is called with each piece that was written.

    Raises:
        InstallError: it cannot be installed, and nothing was written; or what was is damaged.
        ReplError: the board does not answer (any more).
    """
    with open_repl(port) as repl:
        state = measure(repl)
        version = ".".join(map(str, state.version))
        rom = f"{state.rom:,} bytes" if state.rom else "none"
        say(f"MicroPython {version} on {state.machine}")
        say(f"free: heap {state.heap:,} bytes, disk {state.disk:,} bytes; ROMFS partition: {rom}")
        way = choose_way(state, package, way=way, force=force)
        if state.main.startswith(OURS):
            _remove(repl, state, "main.py")
        if way == "romfs":
            _write_rom(repl, romfs(package), progress)
            _remove_files(repl, state)
        else:
            if state.rom_is_ours:  # else it would be found first
                _write_rom(repl, _EMPTY_ROM, None)
            _write_files(repl, state, package, progress)
        if state.main and not state.main.startswith(OURS):
            repl.exec(f"os.rename('main.py', {USER_MAIN!r})")
            say(f"main.py is {USER_MAIN} now")
        repl.fs_writefile(posixpath.join(state.folder, "main.py"), MAIN.encode())
        restart(repl)


async def verify(
    target: str,
    image: str,
    *,
    timeout: float = 10,
    stack: Mapping[str, object] | None = None,
    key: bytes | None = None,
) -> int:
    """Check by sys.info that this package runs; returns the bytes of heap that are free.

    Args:
        target: see `connect`, as for the others.
        image: the hash of the package.
        timeout: seconds to wait for an answer.
        stack: the layers that user_main.py starts the stack with, if it does.
        key: for that stack.

    Raises:
        InstallError: something else does.
        LinkLost: it does not answer.
    """
    async with connect(
        target, timeout=timeout, stack=stack, key=key, docs=False, console=_ignore
    ) as dev:
        info = await dev.call(["sys", "info"])
    if info["image"] != image:
        raise InstallError(f"the board runs image {info['image']}, not {image}")
    return info["mem_free"]


def _ignore(text: str) -> None:
    """Drop what the device prints: the banner of the REPL, most of all."""


def uninstall(port: str, *, say: Say) -> None:
    """Remove main.py and the package; a main.py that was renamed gets its name back.

    Raises:
        InstallError: there is none of ours.
        ReplError: the board does not answer (any more).
    """
    with open_repl(port) as repl:
        state = measure(repl)
        is_main = state.main.startswith(OURS)
        if state.is_ours:
            raise InstallError("the board runs an image of moat-satellite: there is no package")
        if not (is_main or state.has_files or state.rom_is_ours):
            raise InstallError("moat-satellite is not installed on this board")
        if is_main:
            _remove(repl, state, "main.py")
        _remove_files(repl, state)
        if state.rom_is_ours:
            _write_rom(repl, _EMPTY_ROM, None)
        if state.has_user_main and (is_main or not state.main):
            repl.exec(f"os.rename({USER_MAIN!r}, 'main.py')")
            say(f"{USER_MAIN} is main.py again")
        restart(repl)


def _remove(repl: Repl, state: State, name: str) -> None:
    repl.exec(_REMOVE + f"rm({posixpath.join(state.folder, name)!r})")


def _remove_files(repl: Repl, state: State) -> None:
    repl.exec(_REMOVE)
    for name in ("moat/micro", "msgpack.mpy", "_msgpack_more.mpy", "_port.mpy", "_moat_image.mpy"):
        repl.exec(f"rm({posixpath.join(state.lib, name)!r})")
    repl.exec(f"try:\n os.rmdir({posixpath.join(state.lib, 'moat')!r})\nexcept OSError:\n pass")


def _write_files(
    repl: Repl, state: State, package: Mapping[str, bytes], progress: Progress
) -> None:
    _remove_files(repl, state)
    folders = {state.lib}
    for name in package:
        while name := posixpath.dirname(name):
            folders.add(posixpath.join(state.lib, name))
    for folder in sorted(folders):
        repl.exec(f"try:\n os.mkdir({folder!r})\nexcept OSError:\n pass")
    total, done = sum(map(len, package.values())), 0
    digest = hashlib.sha256()
    for name, data in sorted(package.items()):
        repl.fs_writefile(posixpath.join(state.lib, name), data, chunk_size=_CHUNK)
        digest.update(data)
        done += len(data)
        progress("copying", done, total)
    names = [posixpath.join(state.lib, name) for name in sorted(package)]
    repl.exec(_HASH_FILES)
    for name in names:
        repl.exec(f"add({name!r})")
    _compare(repl.eval("h.digest()"), digest.digest(), "the files")


def _write_rom(repl: Repl, data: bytes, progress: Progress | None) -> None:
    """Write a ROMFS, as `mpremote romfs deploy` does, and read it back."""
    repl.exec(
        "import os, vfs\ntry:\n vfs.umount('/rom')\nexcept OSError:\n pass\n"
        "from binascii import a2b_base64 as x\nd = vfs.rom_ioctl(2, 0)"
    )
    is_device = repl.eval("hasattr(d, 'ioctl')")
    block = repl.eval("d.ioctl(5, 0)") if is_device else 0
    chunk = min(block or _ROM_CHUNK, _ROM_CHUNK)
    if not is_device:
        least = repl.eval(f"vfs.rom_ioctl(3, 0, {len(data)})")
        if least < 0:
            raise InstallError(f"the ROMFS partition cannot be written: error {-least}")
        chunk = max(chunk, least)
    for at in range(0, len(data), chunk):
        piece = data[at : at + chunk].ljust(chunk, b"\0")
        repl.exec(f"b = x({b2a_base64(piece)!r})")
        if not is_device:
            repl.exec(f"vfs.rom_ioctl(4, 0, {at}, b)")
        else:
            if at % block == 0:
                repl.exec(f"d.ioctl(6, {at // block})")
            repl.exec(f"d.writeblocks({at // block}, b, {at % block})")
        if progress:
            progress("writing", min(at + chunk, len(data)), len(data))
    if not is_device:
        repl.eval("vfs.rom_ioctl(5, 0)")
    repl.exec(f"from hashlib import sha256\nh = sha256(memoryview(d)[:{len(data)}])")
    _compare(repl.eval("h.digest()"), hashlib.sha256(data).digest(), "the ROMFS")


def _compare(got: bytes, wanted: bytes, what: str) -> None:
    if got != wanted:
        raise InstallError(f"{what} on the board differ from what was written: is its flash worn?")
