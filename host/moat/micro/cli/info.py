"""Show what the device is, and what runs on it."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from moat.micro.cli._session import with_device
from moat.micro.device import Device


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "–" if value is None else str(value)


@click.command("info")
@click.pass_context
def command(ctx: click.Context) -> None:
    """For programs: `moat-sat call sys.info` prints the same as JSON."""

    async def work(dev: Device) -> None:
        info = await dev.call(["sys", "info"])
        table = Table(box=None, show_header=False)
        for name in sorted(info):
            table.add_row(f"[bold]{escape(name)}[/]", escape(_shown(info[name])))
        Console().print(table)

    with_device(ctx, work)
