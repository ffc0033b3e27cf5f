"""Reset the device: its interpreter, or the whole board."""

from __future__ import annotations

import click

from moat.micro.cli._session import fail, with_device
from moat.micro.device import Device


@click.command("reset")
@click.option("--hard", is_flag=True, help="As power-on does; a process or an emulator ends.")
@click.option("--bootloader", is_flag=True, help="Into the boot loader, which takes an image.")
@click.pass_context
def command(ctx: click.Context, hard: bool, bootloader: bool) -> None:
    """The device has agreed when this ends."""
    if hard and bootloader:
        fail("--hard and --bootloader: which one?")

    async def work(dev: Device) -> None:
        if bootloader:
            await dev.call(["sys", "bootloader"])
        else:
            await dev.call(["sys", "reset"], hard)

    with_device(ctx, work)
