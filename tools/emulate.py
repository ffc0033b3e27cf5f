"""Start the emulated board in the foreground; Ctrl-C ends it.

    python -m tools.emulate BOARD [--blank]

The image of the board is put into its flash, as `make flash` would do; files and config on it stay
from one time to the next: they are in flash.bin in the build folder. With --blank the flash is
empty, and the board is in its boot loader.

Other programs find it; see emulator/lib/register.js.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from rich import box
from rich.console import Console
from rich.table import Table

from moat.micro.boards import Board, load
from moat.micro.testing.emulator import Emulator, EmulatorError
from tools.common import ToolError, build_dir, main, shown

__all__ = ("emulate", "table")

_WIDTH = 400
_UARTS = ("uart0", "uart1")


def table(board: Board, info: dict[str, Any], flash: Path) -> Table:
    """What there is, and how it is used."""
    ptys, ports = info["ptys"], info["ports"]
    rows = [
        ("USB", f"moat-sat -d {ptys['usb']} info"),
        ("", f"mpremote connect {ptys['usb']}"),
        ("", f"connect('tcp:127.0.0.1:{ports['usb']}')"),
        *((name.upper(), f"{ptys[name]}   tcp:127.0.0.1:{ports[name]}") for name in _UARTS),
        ("drive", f"{info['drive']}   while it is in its boot loader"),
        ("control", f'echo \'{{"do": "reset"}}\' | nc 127.0.0.1 {ports["control"]}'),
        ("flash", f"{shown(flash)}   remove it to start anew"),
        ("id", info["unique_id"]),
    ]
    made = Table(
        title=f"{board.title}, emulated", title_justify="left", show_header=False, box=box.SIMPLE
    )
    made.add_column()
    made.add_column(no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


@contextmanager
def _alone(folder: Path, board: Board) -> Generator[None]:
    """Two of them would write to the same flash."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ToolError(f"an emulated {board.name} runs already") from None
        yield


async def emulate(board: Board, *, blank: bool = False) -> None:
    """Run it until we are cancelled, or it ends.

    Raises:
        ToolError: it runs already, or does not start.
    """
    console = Console()
    console.width = max(console.width, _WIDTH)  # a path is to be copied in one piece
    folder = build_dir() / board.name
    flash = folder / "flash.bin"
    with _alone(folder / "emulated", board):
        if blank:
            flash.unlink(missing_ok=True)
        image = None if blank else board.image_path
        emulator = Emulator(
            board.name,
            image=image,
            flash=flash,
            folder=folder / "emulated",
            register=board.name,
            off=True,
        )
        try:
            async with emulator:
                console.print(table(board, emulator.info, flash))
                console.print("Ctrl-C ends it")
                async with emulator.events() as events:
                    await emulator.power(True)  # from here on nothing is missed
                    async for event in events:
                        what = event.pop("event")
                        console.print(f"[dim]{what}: {', '.join(map(str, event.values()))}[/]")
        except EmulatorError as exc:
            raise ToolError(str(exc)) from None


def _main(args: list[str]) -> None:
    names = [arg for arg in args if arg != "--blank"]
    if len(names) != 1:
        raise ToolError("usage: python -m tools.emulate BOARD [--blank]")
    board = load(names[0])
    if board.run is None or not board.run.make:
        raise ToolError(f"{board.name} is not emulated so; try: make BOARD={board.name} run")
    with suppress(KeyboardInterrupt):
        anyio.run(lambda: emulate(board, blank="--blank" in args))


if __name__ == "__main__":
    main(_main)
