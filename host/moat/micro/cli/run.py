"""Send a program to the device and run it."""

from __future__ import annotations

from pathlib import Path

import click

from moat.micro.cli._session import with_device
from moat.micro.program import run_program


@click.command("run")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
def command(ctx: click.Context, file: Path) -> None:
    """FILE runs beside the stack: its top level first, then its `async def main()`.

    Ctrl-C stops it. What it prints goes to stderr.
    """
    source = file.read_bytes()
    with_device(ctx, lambda dev: run_program(dev, source, file.name))
