"""How big an image is, and how much heap it leaves.

python3 -m tools.size BOARD

An image that this machine cannot run has its heap's size by the linker's symbols.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from moat.micro.boards import Board, load
from tools import setup, terminal
from tools.common import ToolError, build_dir, main, run

__all__ = ("frozen", "heap_free", "heap_size", "heap_with_stack", "sections")


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
    setup.venv()
    done = run([setup.VENV / "bin/moat-sat", "-d", f"emu:{board.name}", "call", "sys.info"])
    if done.returncode:
        raise ToolError(f"{board.name}: {done.stdout.strip()}")
    return int(json.loads(done.stdout)["mem_free"])


def _main(args: list[str]) -> None:
    if len(args) != 1:
        raise ToolError("usage: python3 -m tools.size BOARD")
    board = load(args[0])
    size = sections(board, board.elf_path)
    for key, value in size.items():
        print(f"{key:8} {value:>9,}")
    print(f"{'frozen':8} {frozen(board):>9,}   (in text and data)")
    sys.stdout.flush()
    if board.run is None:
        print(f"{'heap':8} {heap_size(board):>9,}   with what manages it")
        return
    print(f"{'heap':8} {heap_free(board):>9,}   free at the REPL, without the stack")
    print(f"{'':8} {heap_with_stack(board):>9,}   free after start, serving a host")


if __name__ == "__main__":
    main(_main)
