"""The package for boards with stock MicroPython: our modules as .mpy files, in a zip file.

They are bytecode, which runs on any processor. What has to be on the board beside them, main.py,
is written by moat.micro.flash.stock, which also makes a ROMFS image of them.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

from moat.micro.boards import Board
from tools import image, parts
from tools.common import ToolError, run

__all__ = ("table", "write")

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the package does not change with the day


def write(board: Board, source: Path, cross: Path, out: Path) -> None:
    """Compile all files of the board's manifest, and pack them.

    Args:
        board: what is packed, and the name of the zip file.
        source: MicroPython's source.
        cross: mpy-cross.
        out: the board's build folder.

    Raises:
        ToolError: a file does not compile.
    """
    image.prepare(board, source, out)
    files = image.frozen(board.manifest, board, source)
    made = out / "image"
    files += [image.Frozen(str(p.relative_to(made)), p, 1) for p in made.rglob("*.py")]
    work = out / "module.mpy"
    new = board.image_path.with_suffix(".new")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as pack:
        for file in sorted(files):
            _compile(cross, file, work)
            info = zipfile.ZipInfo(file.name.removesuffix(".py") + ".mpy", _EPOCH)
            pack.writestr(info, work.read_bytes(), zipfile.ZIP_DEFLATED)
    work.unlink()
    new.replace(board.image_path)


def table(board: Board) -> list[tuple[str, int, str]]:
    """What the package takes: a name, bytes, and a remark, line by line.

    Raises:
        ToolError: it is not built.
    """
    sizes: Counter[str] = Counter()
    try:
        with zipfile.ZipFile(board.image_path) as pack:
            for info in pack.infolist():
                sizes[parts.part_of(info.filename)] += info.file_size
    except FileNotFoundError:
        raise ToolError(f"run: make BOARD={board.name} build") from None
    lines = [(f"  {name}", sizes[name], "") for name in parts.PARTS if sizes[name]]
    return [("flash", sizes.total(), "all .mpy files"), *lines]


def _compile(cross: Path, file: image.Frozen, target: Path) -> None:
    # Without -march: a file that needs machine code would not compile.
    done = run([cross, f"-O{file.opt or 0}", "-s", file.name, "-o", target, file.path])
    if done.returncode:
        raise ToolError(f"mpy-cross: {file.name}: {done.stdout.strip()}")
