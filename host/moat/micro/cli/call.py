"""Call a command and print its result as JSON."""

from __future__ import annotations

import json
from typing import Any

import click

from moat.micro.cli._session import fail, with_device
from moat.micro.device import Device, P
from moat.micro.errors import NotFoundError


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself, unless it looks like JSON."""
    try:
        return json.loads(text)
    except ValueError as exc:
        if text.startswith(("{", "[", '"')):
            fail(f"{text} is no JSON: {exc}; a text that begins like this has to be in quotes")
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


def _show(value: Any) -> None:
    click.echo(json.dumps(value, default=as_json))


async def _is_stream(dev: Device, items: list[Any]) -> bool:
    """Ask the level above."""
    try:
        return items[-1] in (await dev.call([*items[:-1], "dir_"]))["s"]
    except NotFoundError:
        return False


@click.command("call", context_settings={"ignore_unknown_options": True})
@click.argument("path")
@click.argument("arguments", nargs=-1, metavar="[VALUE | NAME=VALUE]...")
@click.pass_context
def command(ctx: click.Context, path: str, arguments: tuple[str, ...]) -> None:
    """PATH is dotted, as in sys.ping or adc.0.read.

    A VALUE is JSON, or else a text: 5 is a number, '"5"' a text. Bytes in the result are shown
    as hex digits. Of a stream, each value is printed as it comes, until its end or Ctrl-C.
    """
    args, kw = parse(arguments)

    async def work(dev: Device) -> None:
        items = P(path).items
        try:
            _show(await dev.call(items, *args, **kw))
        except NotFoundError:
            if not await _is_stream(dev, items):
                raise
            async with dev.call(items, *args, **kw) as values:
                async for value in values:
                    _show(value)

    with_device(ctx, work)
