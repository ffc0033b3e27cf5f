"""The table of `make boards`; needs the virtual environment (rich)."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from moat.micro.boards import Need, all_boards
from tools.common import main, shown
from tools.setup import BASE, has

_HOW = {
    "esptool": "make flash PORT=…",
    "mpremote": "make install PORT=…",
    "run": "here: make run",
    "uf2": "copy the UF2 to the drive of its boot loader",
}


def _marked(needs: Iterable[Need]) -> list[str]:
    """Every program, marked with whether it is there."""
    return [
        f"[green]✓[/] {need.tool}" if has(need) else f"[red]✗[/] {need.tool} [dim]({need.package})"
        for need in needs
    ]


def _main(args: list[str]) -> None:
    del args
    table = Table("board", "MCU", "image", "flash or run", "needs", box=box.SIMPLE_HEAD)
    table.padding = (0, 2, 0, 0)
    table.columns[0].no_wrap = True
    table.columns[2].overflow = "fold"
    for board in all_boards():
        image = shown(board.image_path)
        missing = "" if board.image_path.exists() else "\n[dim](not built yet)[/]"
        needs = "\n".join(_marked(need for need in board.needs if need not in BASE))
        row = (f"[bold]{board.name}[/]", board.mcu, image + missing, _HOW[board.flash], needs)
        table.add_row(*row, end_section=True)
    table.caption = "Every board: " + ", ".join(_marked(BASE))
    console = Console()
    if not console.is_terminal:
        console.width = 120  # in a file or a pipe nothing is cut
    console.print(table)


if __name__ == "__main__":
    main(_main)
