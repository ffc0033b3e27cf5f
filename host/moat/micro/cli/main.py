"""The command line: moat-sat [-d DEVICE] COMMAND."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import click

from moat.micro.version import VERSION

# One module a command; its docstring is the first line of the help, that of the function the rest.
# Imported when it is used.
_COMMANDS = (
    "call", "cfg", "factory", "flash", "info", "install", "log", "ls", "reset", "run", "trace",
    "uninstall",
)  # fmt: skip


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"moat.micro.cli.{cmd_name}")
        command: click.Command = module.command
        assert command.callback  # it is a function with a docstring
        command.help = f"{module.__doc__}\n\n{inspect.getdoc(command.callback)}"
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-d", "--device", envvar="MOAT_DEVICE", metavar="DEVICE",
    help="emu:BOARD, board:BOARD, process:COMMAND, tcp:HOST:PORT, unix:PATH, a serial port, or "
    "serial: with its USB serial number; by default $MOAT_DEVICE.",
)  # fmt: skip
@click.option(
    "--stack", envvar="MOAT_STACK", metavar="JSON",
    help='The layers on the link, as on the device, e.g. \'{"framing": "serialpacker", '
    '"reliable": true}\'; by default $MOAT_STACK, or MessagePack.',
)  # fmt: skip
@click.option(
    "--key-file", envvar="MOAT_KEY_FILE", metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Prove the key in the first line of FILE, by default of $MOAT_KEY_FILE.",
)  # fmt: skip
@click.option(
    "--timeout", default=10.0, show_default=True, metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    help="Wait so long for the device to answer at first.",
)  # fmt: skip
@click.version_option(VERSION, prog_name="moat-sat")
@click.pass_context
def main(
    ctx: click.Context,
    device: str | None,
    stack: str | None,
    key_file: Path | None,
    timeout: float,
) -> None:
    """Talk to a MicroPython device that runs moat-satellite."""
    ctx.obj = {"device": device, "stack": stack, "key_file": key_file, "timeout": timeout}
