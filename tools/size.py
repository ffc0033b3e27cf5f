"""How big an image is, and how much heap it leaves.

python3 -m tools.size BOARD
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from moat.micro.boards import Board, load
from tools import setup, terminal
from tools.common import ToolError, build_dir, main, run

__all__ = ("heap_free", "heap_with_stack", "sections")


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
    size = sections(board, board.image_path)
    frozen = sections(board, build_dir() / board.name / "frozen_content.o")
    for key, value in size.items():
        print(f"{key:8} {value:>9,}")
    print(f"{'frozen':8} {frozen['text'] + frozen['data']:>9,}   (in text and data)")
    sys.stdout.flush()
    print(f"{'heap':8} {heap_free(board):>9,}   free at the REPL, without the stack")
    print(f"{'':8} {heap_with_stack(board):>9,}   free after start, serving a host")


if __name__ == "__main__":
    main(_main)
