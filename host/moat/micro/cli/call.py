"""Call a command and print its result as JSON."""

from __future__ import annotations

import json
from typing import Any

import click

from moat.micro.cli._session import with_device
from moat.micro.device import Device, P


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse(words: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Split VALUE and NAME=VALUE words into arguments."""
    args: list[Any] = []
    kw: dict[str, Any] = {}
    for word in words:
        name, eq, value = word.partition("=")
        if eq and name.isidentifier():
            kw[name] = value_of(value)
        else:
            args.append(value_of(word))
    return args, kw


def as_json(value: Any) -> Any:
    """What JSON does not have: bytes as hex digits, other things as text."""
    return value.hex() if isinstance(value, bytes) else str(value)


@click.command("call", context_settings={"ignore_unknown_options": True}, help=__doc__)
@click.argument("path")
@click.argument("arguments", nargs=-1, metavar="[VALUE | NAME=VALUE]...")
@click.pass_context
def command(ctx: click.Context, path: str, arguments: tuple[str, ...]) -> None:
    """PATH is dotted, as in sys.ping or adc.0.read; a VALUE is JSON, or else a text."""
    args, kw = parse(arguments)

    async def work(dev: Device) -> None:
        result = await dev.call(P(path), *args, **kw)
        click.echo(json.dumps(result, default=as_json))

    with_device(ctx, work)
