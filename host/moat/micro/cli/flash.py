"""Write the image of BOARD to a board that is plugged in, and check what runs then."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from moat.micro import rt
from moat.micro.boards import Board, BoardError, load
from moat.micro.cli._session import fail
from moat.micro.discovery import SeveralBoardsError
from moat.micro.errors import MoatError
from moat.micro.flash._steps import Job, Limits
from moat.micro.flash.run import Show, flash, read_image


class _Terminal(Show):
    """Lines and a progress bar on stderr."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        self.bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("image", visible=False)

    def say(self, text: str) -> None:
        self.console.print(escape(text))

    def progress(self, done: int, total: int) -> None:
        self.bar.update(self.task, completed=done, total=total, visible=True)


def show_several(error: SeveralBoardsError) -> NoReturn:
    """List the boards, and end."""
    table = Table("PORT=", "SERIAL=", "board", box=box.SIMPLE_HEAD)
    for one in error.found:
        table.add_row(*map(escape, (one.place, one.serial, one.what)))
    Console(stderr=True, soft_wrap=True).print(table)
    fail(str(error))


@click.command("flash")
@click.argument("board")
@click.option("--port", default="", help="Of the board, or the folder of its drive.")
@click.option("--serial", default="", metavar="NUMBER", help="USB serial number of the board.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--image", type=click.Path(dir_okay=False, path_type=Path), help="In place of the one built."
)
@click.option(
    "--wait", default=120.0, show_default=True, metavar="SECONDS",
    type=click.FloatRange(0), help="For a board whose BOOTSEL has to be held.",
)  # fmt: skip
@click.option("--erase", is_flag=True, help="ESP32: erase all of the flash before.")
@click.option("--baud", default=0, metavar="RATE", help="ESP32: of the port, meanwhile.")
def command(
    board: str,
    port: str,
    serial: str,
    dry_run: bool,
    image: Path | None,
    wait: float,
    erase: bool,
    baud: int,
) -> None:
    """A program that runs is told to enter the boot loader. An ESP32 is flashed by esptool.

    User files and the config of the device stay. The exit status is 0 only if the board has come
    back and its sys.info tells the hash of the image that was built.
    """
    show = _Terminal()
    try:
        what = load(board)
        if what.esp:
            run = _by_esptool(what, port, serial, image, erase=erase, baud=baud)
        else:
            read = read_image(what, image)
            job = Job(what, read.hash, port, serial, limits=Limits(hold=wait))
            run = partial(flash, job, read)
        with show.bar:
            rt.run(partial(run, show, dry_run=dry_run))
    except KeyboardInterrupt:
        click.secho(
            "moat-sat: interrupted; an image that was being written is not whole: flash again",
            err=True,
        )
        raise SystemExit(130) from None
    except SeveralBoardsError as exc:
        show_several(exc)
    except (MoatError, BoardError) as exc:
        fail(str(exc))


def _by_esptool(
    board: Board, port: str, serial: str, image: Path | None, *, erase: bool, baud: int
) -> partial[Any]:
    from moat.micro.flash.esp import EspJob, flash_esp, read_esp_image

    job = EspJob(board, port, serial, erase, baud)
    return partial(flash_esp, job, read_esp_image(board, image))
