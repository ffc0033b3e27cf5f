"""Libraries in MicroPython's lib/ that its source package lacks: submodules of its repository.

They are binary packages of Debian's, whose files are sources. Each gets a folder of its own below
build/src; in the source's lib/ is a link to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from moat.micro.boards import Board
from tools import apt
from tools.common import ROOT, ToolError, lock, run, say, shown

__all__ = ("ensure", "how", "unknown", "versions")


@dataclass(frozen=True)
class Package:
    """Where a library comes from, and the folder in the package that holds it."""

    name: str
    version: str
    sha256: str
    folder: str


_PACKAGES = {
    "pico-sdk": Package(
        "pico-sdk-source",
        "2.1.1-1",
        "507a3ca37636641bc90239d7c04dc9dc28c5008087a8162102ea94d2273153d3",
        "usr/src/pico-sdk",
    ),
    "tinyusb": Package(
        "tinyusb-source",
        "0.18.0+dfsg-1",
        "01ce2c645df68f14a8a7dcfc8fb355713152543757955820479a87949a61154e",
        "usr/src/tinyusb",
    ),
}
_SUITES = ("trixie",)


def unknown(board: Board) -> list[str]:
    """The libraries of a board that we get from no package; none when MPY_DIR names a source."""
    if os.environ.get("MPY_DIR"):
        return []
    return [name for name in board.libs if name not in _PACKAGES]


def how(names: list[str]) -> str:
    """What to do about such libraries."""
    return (
        f"it needs MicroPython's submodules {', '.join(names)}: give a full checkout, with "
        "them, as MPY_DIR=…"
    )


def ensure(board: Board, source: Path, work: Path = ROOT / "build") -> None:
    """Put the libraries of a board into MicroPython's source, where they are missing.

    A source that MPY_DIR names is only looked at.

    Raises:
        ToolError: says which one is missing, and what to do.
    """
    if os.environ.get("MPY_DIR"):
        _check(board, source)
        return
    if names := unknown(board):
        raise ToolError(f"board {board.name}: {how(names)}")
    wanted = {source / "lib" / name: _folder(name, work) for name in board.libs}
    if all(_leads_to(place, target) for place, target in wanted.items()):
        return
    with lock(work / "download" / ".lock"):
        for name in board.libs:
            _link(source / "lib" / name, _unpacked(name, work))


def _check(board: Board, source: Path) -> None:
    folders = [source / "lib" / name for name in board.libs]
    if missing := [path for path in folders if not (path.is_dir() and any(path.iterdir()))]:
        paths = " ".join(f"lib/{path.name}" for path in missing)
        todo = f"type: git -C {source} submodule update --init {paths}"
        raise ToolError(f"board {board.name}: MPY_DIR has no {paths}; {todo}")


def versions(board: Board) -> str:
    """The libraries that a board is built with, and their versions."""
    return " ".join(f"{p.name} {p.version}" for name, p in _PACKAGES.items() if name in board.libs)


def _folder(name: str, work: Path) -> Path:
    return work / "src" / f"{name}-{_PACKAGES[name].version}"


def _leads_to(place: Path, target: Path) -> bool:
    return place.is_symlink() and target.is_dir() and place.resolve() == target.resolve()


def _link(place: Path, target: Path) -> None:
    """Make `place`, which may be an empty folder or another link, a link to `target`."""
    if _leads_to(place, target):
        return
    if place.is_symlink():
        place.unlink()
    elif place.is_dir():
        place.rmdir()
    place.symlink_to(os.path.relpath(target, place.parent))


def _unpacked(name: str, work: Path) -> Path:
    package = _PACKAGES[name]
    target = _folder(name, work)
    if not target.is_dir():  # it appears complete, or not at all
        new = target.with_name(f".new-{target.name}")
        shutil.rmtree(new, ignore_errors=True)
        deb = _downloaded(package, work / "download")
        done = run(["dpkg-deb", "-x", deb, new])
        if done.returncode:
            raise ToolError(f"cannot unpack {shown(deb)}: {done.stdout.strip()}")
        (new / package.folder).rename(target)
        shutil.rmtree(new)
    return target


def _downloaded(package: Package, download: Path) -> Path:
    deb = download / f"{package.name}_{package.version}.deb"
    if deb.exists() and _sha256(deb) == package.sha256:
        return deb
    say(f"downloading {package.name} {package.version}")
    try:
        got, signed = apt.fetch_deb(package.name, package.version, _SUITES, download / "apt")
    except ToolError as err:
        raise ToolError(f"cannot get {package.name} {package.version}: {err}") from None
    if not signed == package.sha256 == _sha256(got):
        got.unlink()
        raise ToolError(f"{got.name} is damaged or not the known one; removed")
    return got.replace(deb)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
