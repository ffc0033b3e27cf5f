"""Remove what `install` has put on a board with stock MicroPython."""

from __future__ import annotations

import click

from moat.micro.cli._session import connection, fail
from moat.micro.errors import MoatError


@click.command("uninstall")
@click.pass_context
def command(ctx: click.Context) -> None:
    """A user_main.py becomes main.py again; files of yours stay."""
    from moat.micro.flash import stock

    target, _ = connection(ctx)
    try:
        stock.uninstall(target, say=click.echo)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (MoatError, OSError) as exc:
        fail(f"{exc}")
    click.echo("moat-satellite is removed")
