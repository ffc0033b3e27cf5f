"""Install our package on a board with stock MicroPython (1.25 or newer)."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from moat.micro import rt
from moat.micro.boards import BoardError, load
from moat.micro.cli._session import connection, fail
from moat.micro.errors import MoatError


@click.command("install")
@click.option(
    "--package", type=click.Path(path_type=Path), metavar="FILE",
    help="What `make BOARD=stock build` has made.",
)  # fmt: skip
@click.option("--way", type=click.Choice(["files", "romfs"]), help="By default what is possible.")
@click.option(
    "--force", is_flag=True, help="Rename a main.py that is not ours; replace another ROMFS."
)
@click.pass_context
def command(ctx: click.Context, package: Path | None, way: str | None, force: bool) -> None:
    """The device is the port of MicroPython's REPL: its path, or tcp:HOST:PORT.

    It is measured first: nothing is copied where there is not enough heap, or flash. A program of
    yours in main.py is renamed to user_main.py (--force); the stack runs it. See docs/boards.md.
    """
    from moat.micro.flash import stock

    target, options = connection(ctx)
    try:
        path = package or load("stock").image_path
        files = stock.read_package(path)
        image = stock.image_hash(path)
        with Progress(disable=not sys.stderr.isatty()) as bar:
            stock.install(
                target, files, way=way or "", force=force, say=_say, progress=_progress(bar)
            )
        free = rt.run(partial(stock.verify, target, image, **options))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (MoatError, BoardError, OSError) as exc:
        fail(f"{exc}")
    click.echo(f"image {image} runs, with {free:,} bytes of heap free")


def _say(text: str) -> None:
    click.echo(text)


def _progress(bar: Progress) -> Any:
    tasks = dict[str, Any]()

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what)
        bar.update(tasks[what], total=total, completed=done)

    return show
