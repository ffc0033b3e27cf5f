"""Erase the files and the config on the BOARD that is plugged in."""

from __future__ import annotations

import sys
from functools import partial

import click

from moat.micro import rt
from moat.micro.boards import BoardError, load
from moat.micro.cli._session import fail
from moat.micro.cli.flash import show_several
from moat.micro.discovery import SeveralBoardsError
from moat.micro.errors import MoatError
from moat.micro.flash.factory import pick, reset_files


@click.command("factory")
@click.argument("board")
@click.option("--port", default="", help="Of the board.")
@click.option("--serial", default="", metavar="NUMBER", help="USB serial number of the board.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(board: str, port: str, serial: str, yes: bool) -> None:
    """The firmware stays, and starts anew."""
    try:
        what = load(board)
        one = pick(what, port, serial)
        if not yes:
            _confirm(f"{one.what} at {one.port}")
        rt.run(partial(reset_files, what, one, partial(click.echo, err=True)))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except SeveralBoardsError as exc:
        show_several(exc)
    except (MoatError, BoardError) as exc:
        fail(str(exc))


def _confirm(where: str) -> None:
    if not sys.stdin.isatty():
        fail(f"{where}: all files there would be erased; say --yes, with make YES=1")
    if not click.confirm(f"Erase all files and the config on {where}?", err=True):
        fail("nothing was erased")
