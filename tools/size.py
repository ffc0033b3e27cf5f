"""How big an image is, and how much heap it leaves.

python3 -m tools.size BOARD
"""

from __future__ import annotations

import sys
from pathlib import Path

from moat.micro.boards import Board, load
from tools import setup, terminal
from tools.common import ROOT, ToolError, build_dir, main, run

__all__ = ("heap_free", "sections")


def sections(board: Board, path: Path) -> dict[str, int]:
    """Bytes of text, data and bss of an ELF file, by the board's own size tool.

    Raises:
        ToolError: the tool is missing, or does not understand the file.
    """
    tool = board.needs[0].tool.removesuffix("gcc") + "size"
    done = run([tool, path])
    try:
        head, values = done.stdout.splitlines()[:2]
        return dict(zip(head.split()[:3], map(int, values.split()[:3]), strict=True))
    except ValueError:
        raise ToolError(f"{tool} {path}: {done.stdout.strip()}") from None


def heap_free(board: Board) -> int:
    """Bytes of heap that the image has left at its REPL.

    Raises:
        ToolError: it does not start, or does not answer.
    """
    with terminal.shell(board) as console:
        console.prompt()
        if not board.run.shell:  # the stack may have been interrupted at half its start
            console.restart()
        text = console.command("import gc; gc.collect(); print(gc.mem_free())")
    try:
        return int(text.split()[-1])
    except (ValueError, IndexError):
        raise ToolError(f"{board.name}: gc.mem_free() gave {text!r}") from None


def _with_stack(board: Board) -> str | None:
    """What the host package measures with the stack running, where it can."""
    if not (ROOT / "host/moat/micro/testing/heap.py").is_file():
        return None
    setup.venv()
    done = run([setup.VENV / "bin/python", "-m", "moat.micro.testing.heap", board.name])
    if done.returncode:
        raise ToolError(f"measuring the heap failed: {done.stdout.strip()}")
    return done.stdout.strip()


def _main(args: list[str]) -> None:
    if len(args) != 1:
        raise ToolError("usage: python3 -m tools.size BOARD")
    board = load(args[0])
    size = sections(board, board.image_path)
    frozen = sections(board, build_dir() / board.name / "frozen_content.o")
    for key, value in size.items():
        print(f"{key:8} {value:>9,}")
    print(f"{'frozen':8} {frozen['text'] + frozen['data']:>9,}   (in text and data)")
    sys.stdout.flush()
    heap = _with_stack(board)
    print(heap or f"{'heap':8} {heap_free(board):>9,}   free at the REPL, without the stack")


if __name__ == "__main__":
    main(_main)
