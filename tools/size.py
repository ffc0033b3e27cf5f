"""How big an image is, and how much heap it leaves.

python3 -m tools.size BOARD

Its flash is shown by the parts of the stack; see tools/parts.py. An image that this machine
cannot run has its heap's size by the linker's symbols.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moat.micro.boards import Board, load
from tools import package, parts, setup, terminal
from tools.common import ToolError, build_dir, main, run

__all__ = ("frozen", "heap_free", "heap_size", "heap_with_stack", "loaded", "sections", "table")

_FOR_EVAL = {"moat.micro.app._sys", "moat.micro.app.common"}
_HEAP = ("__GcHeapStart", "__GcHeapEnd")


def sections(board: Board, path: Path) -> dict[str, int]:
    """Bytes of text, data and bss of an ELF file, by the board's own size tool.

    Raises:
        ToolError: the tool is missing, or does not understand the file.
    """
    tool = _tool(board, "size")
    done = run([tool, path])
    try:
        head, values = done.stdout.splitlines()[:2]
        return dict(zip(head.split()[:3], map(int, values.split()[:3]), strict=True))
    except ValueError:
        raise ToolError(f"{tool} {path}: {done.stdout.strip()}") from None


def frozen(board: Board) -> int:
    """Bytes that the frozen modules take; they are in text and data.

    Raises:
        ToolError: the board is not built.
    """
    files = sorted((build_dir() / board.name).rglob("frozen_content*.o"))
    if not files:
        raise ToolError(f"run: make BOARD={board.name} build")
    found = sections(board, files[0])
    return found["text"] + found["data"]


def heap_size(board: Board) -> int:
    """Bytes of the heap with what manages it, as the linker lays it out.

    Raises:
        ToolError: the image has no such symbols.
    """
    tool = _tool(board, "nm")
    lines = run([tool, board.elf_path]).stdout.splitlines()
    parts = (line.split() for line in lines)
    at = {part[-1]: int(part[0], 16) for part in parts if part[-1:] and part[-1] in _HEAP}
    if len(at) != len(_HEAP):
        raise ToolError(f"{board.elf_path}: no {' and '.join(_HEAP)}")
    return at[_HEAP[1]] - at[_HEAP[0]]


def _tool(board: Board, name: str) -> str:
    return board.needs[0].tool.removesuffix("gcc") + name


def heap_free(board: Board) -> int:
    """Bytes of heap that the image has left at its REPL.

    Raises:
        ToolError: it does not start, or does not answer.
    """
    with terminal.shell(board) as console:
        console.prompt()
        if not console.at_repl:  # the stack may have been interrupted at half its start
            console.restart()
        text = console.command("import gc; gc.collect(); print(gc.mem_free())")
    try:
        return int(text.split()[-1])
    except (ValueError, IndexError):
        raise ToolError(f"{board.name}: gc.mem_free() gave {text!r}") from None


def heap_with_stack(board: Board) -> int:
    """Bytes of heap that are free while the image serves a host, as it does after its start.

    Raises:
        ToolError: it does not answer.
    """
    return int(_call(board, "sys.info")["mem_free"])


def loaded(board: Board) -> int:
    """Bytes of the frozen modules that are loaded while the image serves a host.

    Those that are only loaded to tell that are not counted; nor are names and texts.

    Raises:
        ToolError: it does not answer.
    """
    names = str(_call(board, "sys.eval", "' '.join(__import__('sys').modules)")).split()
    return parts.loaded(parts.frozen_sizes(board), set(names) - _FOR_EVAL)


def _call(board: Board, *words: str) -> Any:
    setup.venv()
    done = run([setup.VENV / "bin/moat-sat", "-d", f"emu:{board.name}", "call", *words])
    if done.returncode:
        raise ToolError(f"{board.name}: {done.stdout.strip()}")
    return json.loads(done.stdout)


def table(board: Board) -> list[tuple[str, int, str]]:
    """What the image takes: a name, bytes, and a remark, line by line.

    Raises:
        ToolError: it is not built, or does not run.
    """
    if board.port == "stock":
        return package.table(board)
    size = sections(board, board.elf_path)
    total, ours = size["text"] + size["data"], frozen(board)
    lines = [("flash", total, "text and data")]
    lines += [(f"  {name}", n, "") for name, n in parts.parts(board, total, ours).items()]
    lines += [("bss", size["bss"], ""), ("frozen", ours, "all frozen modules, of the flash")]
    if board.esp:
        return lines  # its heap grows
    if board.run is None:
        return [*lines, ("heap", heap_size(board), "with what manages it")]
    lines += [("", loaded(board), "of the modules, loaded while it serves a host")]
    without, with_stack = heap_free(board), heap_with_stack(board)
    lines += [("heap", without, "free at the REPL, without the stack")]
    lines += [("", with_stack, "free after start, serving a host")]
    return [*lines, ("", without - with_stack, "taken by the stack")]


def _main(args: list[str]) -> None:
    if len(args) != 1:
        raise ToolError("usage: python3 -m tools.size BOARD")
    for name, size, remark in table(load(args[0])):
        print(f"{name:38} {size:>9,}  {remark}".rstrip())


if __name__ == "__main__":
    main(_main)
