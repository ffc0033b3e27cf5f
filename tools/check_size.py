"""Whether an image has grown; `make check-size` fails at more than 2 %.

    python3 -m tools.check_size [--update REASON] [BOARD…]

The figures that are compared with are in boards/sizes.toml, and the reason for each is in a line
of CHANGELOG.md that begins like `* Size of rp2:` and has the same figures: without it nothing
passes. --update writes both. By default all boards that have figures, and can be built here, are
checked.

What another compiler has made is not compared, but for the frozen modules.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from moat.micro.boards import Board, load
from tools import build, changelog, fetch, libs, size
from tools.common import ROOT, ToolError, main, run, say

__all__ = ("Figures", "compare", "line", "measure", "read", "stated", "write")

SIZES = ROOT / "boards" / "sizes.toml"
CHANGES = changelog.PATH
_LIMIT = 0.02
_HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Bytes of the images. `make check-size` compares with these; make check-size UPDATE="why" writes
# them.
"""
_KEYS = ("flash", "frozen", "heap")


@dataclass(frozen=True)
class Figures:
    """Bytes of one image."""

    compiler: str
    flash: int
    frozen: int
    heap: int
    """What the stack takes while it serves a host; 0: it is not measured."""


def measure(board: Board) -> Figures:
    """The figures of the image that is built.

    Raises:
        ToolError: it is not, or does not run.
    """
    found = size.sections(board, board.elf_path)
    heap = 0
    if board.run is not None:
        heap = size.heap_free(board) - size.heap_with_stack(board)
    compiler = run([board.needs[0].tool, "--version"]).stdout.splitlines()[0]
    return Figures(compiler, found["text"] + found["data"], size.frozen(board), heap)


def read(path: Path) -> dict[str, Figures]:
    """The figures in a file, by board."""
    if not path.exists():
        return {}
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Figures(**values) for name, values in data.items()}


def write(path: Path, figures: dict[str, Figures]) -> None:
    """Write a file that `read` reads."""
    text = _HEAD
    for name, of in sorted(figures.items()):
        text += f'\n[{name}]\ncompiler = "{of.compiler}"\n'
        text += "".join(f"{key} = {getattr(of, key)}\n" for key in _KEYS)
    path.write_text(text, encoding="utf-8")


def compare(name: str, known: Figures, now: Figures) -> list[str]:
    """What has grown too much: a line each."""
    same = known.compiler == now.compiler
    problems: list[str] = []
    for key in _KEYS if same else ("frozen",):
        before, after = getattr(known, key), getattr(now, key)
        if after > before * (1 + _LIMIT):
            grown = f"{name}: {key} has grown from {before:,} to {after:,} bytes"
            problems.append(f"{grown} ({_percent(before, after)})")
    return problems


def _percent(before: int, after: int) -> str:
    return f"{100 * (after - before) / before:+.1f} %" if before else "new"


def stated(name: str, known: Figures, changes: str) -> bool:
    """Whether the change log has a line with these figures."""
    return changelog.says(changes, _start(name, known))


def _start(name: str, of: Figures) -> str:
    heap = f", heap {of.heap:,}" if of.heap else ""
    return f"* Size of {name}: flash {of.flash:,}, frozen {of.frozen:,}{heap} bytes:"


def line(name: str, now: Figures, reason: str, before: Figures | None) -> str:
    """The line for the change log."""
    how = f" ({_percent(before.flash, now.flash)} flash)" if before else ""
    return f"{_start(name, now)} {reason}{how}"


def check(names: list[str], *, make: bool = True) -> list[str]:
    """Measure boards, and build them before if `make`; returns what is wrong, a line each.

    Raises:
        ToolError: a board has no figures, or cannot be built.
    """
    figures, changes = read(SIZES), CHANGES.read_text(encoding="utf-8")
    problems: list[str] = []
    for name in names or _here(figures):
        if name not in figures:
            raise ToolError(f'{name} has no figures; run: make BOARD={name} check-size UPDATE="…"')
        if not stated(name, figures[name], changes):
            problems.append(f"{name}: CHANGELOG.md has no line with its figures in {SIZES.name}")
        now = _built(name) if make else measure(load(name))
        if now.compiler != figures[name].compiler:
            say(f"{name}: not compared but for the frozen modules: {now.compiler} has made it")
        problems += compare(name, figures[name], now)
    return problems


def _here(figures: dict[str, Figures]) -> list[str]:
    return [name for name in sorted(figures) if not libs.unknown(load(name))]


def _built(name: str) -> Figures:
    board = load(name)
    build.build(board)
    return measure(board)


def update(names: list[str], reason: str) -> list[str]:
    """Measure boards, and write the figures with the reason; returns the lines of the change log.

    Raises:
        ToolError: there is no reason.
    """
    if not reason.strip():
        raise ToolError('say why: make check-size UPDATE="…"')
    figures = read(SIZES)
    lines: list[str] = []
    for name in names or _here(figures):
        now = _built(name)
        lines.append(line(name, now, reason.strip(), figures.get(name)))
        figures[name] = now
    changes = changelog.add(CHANGES.read_text(encoding="utf-8"), lines)
    write(SIZES, figures)
    CHANGES.write_text(changes, encoding="utf-8")
    return lines


def _main(args: list[str]) -> None:
    if os.environ.get("MPY_DIR") or os.environ.get("MPY", fetch.DEFAULT) != fetch.DEFAULT:
        raise ToolError(f"the figures are those of MicroPython {fetch.DEFAULT}")
    if args[:1] == ["--update"]:
        for text in update(args[2:], args[1] if len(args) > 1 else ""):
            print(text)
        return
    if problems := check(args):
        say("\n".join(problems))
        raise ToolError('make it smaller, or say why: make check-size UPDATE="…"')


if __name__ == "__main__":
    main(_main)
