"""Show the device's log, until Ctrl-C."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from moat.micro.cli._session import with_device
from moat.micro.device import Device

_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error"}


@click.command("log")
@click.option(
    "--level", type=click.Choice(list(_NAMES.values())), default="info", show_default=True,
    help="The least that is shown.",
)  # fmt: skip
@click.pass_context
def command(ctx: click.Context, level: str) -> None:
    """It begins with what the device has kept; the time is what its clock says."""

    async def work(dev: Device) -> None:
        async with dev.call(["sys", "log"], level) as records:
            async for number, when_us, text, dropped in records:
                if dropped:
                    click.echo(f"… {dropped} dropped")
                when = datetime.fromtimestamp(when_us / 1e6, UTC).astimezone()
                name = _NAMES.get(number, str(number))
                click.echo(f"{when:%Y-%m-%d %H:%M:%S} {name}: {text}")

    with_device(ctx, work)
