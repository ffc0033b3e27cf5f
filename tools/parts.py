"""What the parts of an image take in flash.

The linker's map tells how much of each object file is in the image. The frozen modules are one
object file; its symbols have their names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from moat.micro.boards import Board
from tools import fetch, image
from tools.common import ToolError, build_dir, run

__all__ = ("PARTS", "frozen_sizes", "loaded", "module_sizes", "native_size", "part_of", "parts")

# Part -> the frozen files that belong to it; the first that fits counts.
PARTS = {
    "proto": r"moat/micro/(proto/|stacks\.|_queue\.|_records\.)|_?msgpack|_crc16",
    "cmd": r"moat/micro/(cmd/|call_errors\.|carries\.)",
    "apps": r"moat/micro/app/",
    "net": r"moat/micro/net/",
    "rt, start-up": r"moat/|_port|_moat_image",
    "asyncio": r"u?asyncio[/.]",
    "frozen, MicroPython's own": r"",
}
_NAMES = "names and texts of frozen modules"
_NATIVE = "our C code"
_REST = "MicroPython and libraries"

# The map continues a long name of a section on the next line.
_PIECE = re.compile(r"^ (\.\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$", re.MULTILINE)
_NOT_IN_FLASH = (
    ".ARM.attributes", ".bss", ".comment", ".debug", ".heap", ".note", ".riscv", ".stack",
)  # fmt: skip
_SYMBOL = re.compile(r"^\S+ (\S+) \S (\S+)$", re.MULTILINE)
_KINDS = (
    r"^(fun_data|proto_fun|const_obj_table_data|const_obj|const_qstr_table_data|children|"
    r"frozen_module)_"
)


def part_of(file: str) -> str:
    """The part of the stack that a frozen file belongs to."""
    return next(part for part, pattern in PARTS.items() if re.match(pattern, file))


def module_sizes(symbols: Iterable[tuple[str, int]], files: Iterable[str]) -> dict[str, int]:
    """The bytes of each frozen file.

    Args:
        symbols: name and size of each in the object file of the frozen modules.
        files: their names, moat/micro/rt.py.
    """
    mangled = {re.sub(r"\W", "_", file.removesuffix(".py")): file for file in files}
    names = sorted(mangled, key=len, reverse=True)
    sizes: Counter[str] = Counter()
    for symbol, size in symbols:
        rest, is_module = re.subn(_KINDS, "", symbol)
        owner = next((n for n in names if rest == n or rest.startswith(f"{n}_")), None)
        if is_module and owner:
            sizes[mangled[owner]] += size
    return dict(sizes)


def native_size(linker_map: str, board: str) -> int:
    """Bytes in flash of our C files, in the image of `board`."""
    ours = re.compile(rf"firmware/native/|/{board}/port/")
    _, _, text = linker_map.partition("Linker script and memory map")
    return sum(
        int(size, 16)
        for section, address, size, file in _PIECE.findall(text)
        if ours.search(file) and int(address, 16) and not section.startswith(_NOT_IN_FLASH)
    )


def frozen_sizes(board: Board) -> dict[str, int]:
    """The bytes of each frozen file of an image; names and texts, which they share, left out.

    Raises:
        ToolError: it is not built.
    """
    objects = sorted(_folder(board).rglob("frozen_content*.o"))
    if not objects:
        raise ToolError(f"run: make BOARD={board.name} build")
    tool = board.needs[0].tool.removesuffix("gcc") + "nm"
    found = _SYMBOL.findall(run([tool, "-S", objects[0]]).stdout)
    manifest = _folder(board) / "manifest.py"
    files = [file.name for file in image.frozen(manifest, board, fetch.source())]
    return module_sizes([(name, int(size, 16)) for size, name in found], files)


def _folder(board: Board) -> Path:
    return build_dir() / board.name


def parts(board: Board, total: int, frozen: int) -> dict[str, int]:
    """The bytes of each part; together they are `total`.

    Args:
        board: which is built.
        total: bytes of its image.
        frozen: bytes of these that are frozen modules.

    Raises:
        ToolError: it is not built.
    """
    maps = sorted(_folder(board).glob("*.map"))
    if not maps:
        raise ToolError(f"run: make BOARD={board.name} build")
    sizes = frozen_sizes(board)
    result = dict.fromkeys(PARTS, 0)
    for file, size in sizes.items():
        result[part_of(file)] += size
    result[_NAMES] = frozen - sum(sizes.values())
    result[_NATIVE] = native_size(maps[0].read_text(errors="replace"), board.name)
    result[_REST] = total - frozen - result[_NATIVE]
    return result


def loaded(sizes: dict[str, int], modules: Iterable[str]) -> int:
    """The bytes of the frozen files that are these modules."""
    names = {re.sub(r"(/__init__)?\.py$", "", file).replace("/", "."): file for file in sizes}
    return sum(sizes[names[module]] for module in modules if module in names)
