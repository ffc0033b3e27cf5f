"""Build a board's image, and mpy-cross, with MicroPython's own Makefiles or its CMake files.

    python3 -m tools.build BOARD…|--all

Images go to MOAT_BUILD/BOARD/; the Makefile gives each version of MicroPython a folder of its
own. V=1 shows what the compilers say; else it is in MOAT_BUILD/BOARD.log.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from moat.micro import uf2
from moat.micro.boards import Board, all_boards, load
from tools import fetch, idf, image, libs, package, setup
from tools.common import ROOT, ToolError, build_dir, lock, main, run, say, shown

__all__ = ("build", "mpy_cross")

_CMAKE = ("rp2",)  # ports that are built by CMake

# What make hands to sub-makes (a BOARD=… of ours would override MicroPython's), and
# variables that mean something to MicroPython's Makefiles.
_NOT_PASSED = (
    "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MAKEFILES", "BOARD", "BUILD", "DEBUG",
    "FROZEN_MANIFEST", "MPY_DIR", "VARIANT", "VARIANT_DIR", "V",
)  # fmt: skip


def build(board: Board) -> Path:
    """Build the image and return its path; nothing is done when nothing changed.

    Raises:
        ToolError: a tool is missing, the source cannot be got, or the build failed.
    """
    if todo := idf.missing(board):
        raise ToolError(f"board {board.name}: {todo}")
    setup.ensure_board(board)
    source = fetch.source()
    libs.ensure(board, source)
    out = build_dir() / board.name
    with lock(build_dir() / f".{board.name}.lock"):
        cross = mpy_cross(source)
        state = _State(board, source, out)
        if state.is_current():
            return board.image_path
        state.drop_stale()
        began = time.monotonic()
        port = source / "ports" / board.port
        if board.port == "stock":
            package.write(board, source, cross, out)
        elif board.port in _CMAKE:
            _cmake(port, out, _cmake_variables(board, source, out), source, cross)
        else:
            _make(port, out, _variables(board, source, out), source, cross)
        if board.family:
            _write_uf2(board, out)
        if not board.image_path.is_file():
            raise ToolError(f"{board.name}: the build made no {shown(board.image_path)}")
        state.save()
        say(f"{board.name}: {shown(board.image_path)} ({time.monotonic() - began:.0f} s)")
    return board.image_path


def mpy_cross(source: Path) -> Path:
    """Build mpy-cross from the same source, once, and return its path."""
    out = build_dir() / "mpy-cross"
    program, stamp = out / "mpy-cross", out / "source"
    with lock(build_dir() / ".mpy-cross.lock"):
        if not program.is_file() or not stamp.is_file() or stamp.read_text() != str(source):
            shutil.rmtree(out, ignore_errors=True)
            _make(source / "mpy-cross", out, {}, source, None)
            stamp.write_text(str(source))
    return program


def _write_uf2(board: Board, out: Path) -> None:
    data = (out / "firmware.bin").read_bytes()
    board.image_path.write_bytes(uf2.pack(data, uf2.FAMILIES[board.family], uf2.FLASH))


def _empty_lib() -> str:
    """An empty micropython-lib: a manifest may not require()."""
    folder = build_dir() / "micropython-lib"
    folder.mkdir(exist_ok=True)
    (folder / "README.md").touch()
    return str(folder)


def _cmake_variables(board: Board, source: Path, out: Path) -> dict[str, str]:
    """As _variables, for a port that is built by CMake."""
    values = {
        "MICROPY_BOARD": board.name,
        "MICROPY_FROZEN_MANIFEST": str(image.prepare(board, source, out)),
        "MICROPY_LIB_DIR": _empty_lib(),
        "PICO_NO_PICOTOOL": "1",  # we make the UF2
        "Python3_EXECUTABLE": sys.executable,
        "USER_C_MODULES": str(ROOT / "firmware" / "native" / "port"),
    }
    if (board.folder / "mpconfigboard.cmake").exists():  # else it is one that the port has
        values["MICROPY_BOARD_DIR"] = str(board.folder)
    return values | board.build


def _variables(board: Board, source: Path, out: Path) -> dict[str, str]:
    """The port's variables: where our files are."""
    values = {
        "FROZEN_MANIFEST": str(image.prepare(board, source, out)),
        "MPY_LIB_DIR": _empty_lib(),
        "USER_C_MODULES": str(ROOT / "firmware" / "native"),
    }
    if board.port == "esp32":  # a board that the port has, and without our C module
        return {"FROZEN_MANIFEST": values["FROZEN_MANIFEST"]} | board.build
    if board.port == "unix":
        values["VARIANT_DIR"] = str(board.folder)
    else:
        values |= {"BOARD": board.name, "BOARD_DIR": str(board.folder)}
    return values | board.build


def _environment(source: Path, cross: Path | None) -> dict[str, str]:
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in _NOT_PASSED and not key.startswith("PICO_")
    }
    # The date in the banner is the source's: the image does not change with the day.
    env["SOURCE_DATE_EPOCH"] = str(int((source / "py" / "mpconfig.h").stat().st_mtime))
    if not (source / ".git").exists():
        # Or git would describe the repository around it, which is ours.
        env["MICROPY_GIT_TAG"] = f"v{fetch.tree_version(source)}"
    if os.environ.get("MPY_DIR"):
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # the tree is not ours
    if cross:
        env["MICROPY_MPYCROSS"] = str(cross)
    return env


def _make(
    folder: Path, out: Path, values: dict[str, str], source: Path, cross: Path | None
) -> None:
    if not folder.is_dir():
        raise ToolError(f"{source} has no {folder.relative_to(source)}")
    settings = [f"{key}={value}" for key, value in values.items()]
    command = ["make", "-C", str(folder), _jobs(), f"BUILD={out}", *settings]
    _carry_out([command], out, _environment(source, cross))


def _cmake(folder: Path, out: Path, values: dict[str, str], source: Path, cross: Path) -> None:
    settings = [f"-D{key}={value}" for key, value in values.items()]
    steps = [["make", "-C", str(out), _jobs()]]
    if not (out / "Makefile").exists():  # CMake removes it when it fails
        steps.insert(0, ["cmake", "-S", str(folder), "-B", str(out), *settings])
    _carry_out(steps, out, _environment(source, cross))


def _jobs() -> str:
    return f"-j{len(os.sched_getaffinity(0))}"


def _carry_out(steps: list[list[str]], out: Path, env: dict[str, str]) -> None:
    """Run commands, one after the other; what they say goes to a log beside the folder `out`."""
    log = out.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        to = None if os.environ.get("V") else file
        for command in steps:
            done = subprocess.run(
                command, env=env, stdin=subprocess.DEVNULL,
                stdout=to, stderr=subprocess.STDOUT if to else None, check=False,
            )  # fmt: skip
            if done.returncode:
                raise ToolError(f"building {out.name} failed{_tail(log)}")


def _tail(log: Path) -> str:
    """What went wrong, from a log; the whole of it is named."""
    text = log.read_text(errors="replace").splitlines()
    if not text:
        return ""
    marks = [i for i, line in enumerate(text) if "rror" in line or "***" in line]
    first = max(0, (marks or [len(text) - 15])[0] - 3)
    return "; see " + shown(log) + "\n" + "\n".join(text[first : first + 20])


class _State:
    """What an image was built from: MicroPython's Makefiles do not notice all of it."""

    def __init__(self, board: Board, source: Path, out: Path) -> None:
        self.out = out
        self.image = board.image_path
        self.given = bool(os.environ.get("MPY_DIR"))  # its own files may change, too
        manifests = [ROOT / "manifest.py", board.manifest]
        sources = sorted(
            path for path in (ROOT / "firmware").rglob("*") if path.suffix in (".py", ".c", ".h")
        )
        sources += sorted(p for p in board.folder.rglob("*.py") if p.parent != board.folder)
        facts = [p for p in sorted(board.folder.iterdir()) if p.is_file() and p not in manifests]
        native = ROOT / "firmware" / "native"
        for pattern in ("micropython.mk", "micropython.cmake", "mpconfig_rp2.h"):
            facts += sorted(native.rglob(pattern))
        self.parts = {
            "config": _digest(facts, str(source), _compiler(board), libs.versions(board)),
            "manifest": _digest(manifests),
            "image": _digest([image.COLLECTOR, Path(image.__file__)]),
            "names": _digest((), *(str(p) for p in sources if p.suffix == ".py")),
            "times": _digest((), *(f"{p} {p.stat().st_mtime_ns}" for p in sources)),
        }

    def _saved(self) -> dict[str, str]:
        try:
            lines = (self.out / "moat.state").read_text().splitlines()
        except OSError:
            return {}
        return dict(line.split(" ", 1) for line in lines)

    def is_current(self) -> bool:
        """Whether the image is there and was built from exactly this."""
        is_made = self.image.is_file() and (self.out / "commands.json").is_file()
        return not self.given and is_made and self._saved() == self.parts

    def drop_stale(self) -> None:
        """Remove what would wrongly be kept."""
        saved = self._saved()
        (self.out / "moat.state").unlink(missing_ok=True)
        if saved.get("config") != self.parts["config"]:
            shutil.rmtree(self.out, ignore_errors=True)
        if saved.get("manifest") != self.parts["manifest"]:  # the optimisation level
            shutil.rmtree(self.out / "frozen_mpy", ignore_errors=True)
        if saved.get("names") != self.parts["names"]:  # a file is gone
            (self.out / "frozen_content.c").unlink(missing_ok=True)

    def save(self) -> None:
        """Remember, after a build that went well."""
        text = "\n".join(f"{key} {value}" for key, value in self.parts.items())
        (self.out / "moat.state").write_text(text)


def _compiler(board: Board) -> str:
    """Path and version of the board's compiler, which is the first of its needs."""
    if not board.needs:
        return ""
    tool = board.needs[0].tool
    return f"{shutil.which(tool)} {run([tool, '--version']).stdout}"


def _digest(paths: Iterable[Path], *texts: str) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path).encode() + b"\0" + path.read_bytes())
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _main(args: list[str]) -> None:
    if not args:
        raise ToolError("name a board: python3 -m tools.build BOARD…|--all")
    if args == ["--all"]:
        _build_all()
        return
    for name in args:
        build(load(name))


def _build_all() -> None:
    """Build every board whose libraries can be got here."""
    for board in all_boards():
        if todo := idf.missing(board):
            say(f"{board.name}: not built; {todo}")
        elif missing := libs.unknown(board):
            say(f"{board.name}: not built; {libs.how(missing)}")
        else:
            build(board)


if __name__ == "__main__":
    main(_main)
