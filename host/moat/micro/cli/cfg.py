"""Show or change the config of a device."""

from __future__ import annotations

import json
from contextlib import suppress
from tempfile import NamedTemporaryFile
from typing import Any

import click
from rich.console import Console

from moat.micro.cli._session import fail, with_device
from moat.micro.cli.call import as_json, value_of
from moat.micro.cmd.path import P, dotted
from moat.micro.device import Device
from moat.micro.errors import CallError


@click.command("cfg", context_settings={"ignore_unknown_options": True})
@click.argument("path", required=False, default="")
@click.argument("value", required=False)
@click.option("--delete", is_flag=True, help="Remove what stands at PATH.")
@click.option("--edit", is_flag=True, help="Open what stands at PATH in $EDITOR, as JSON.")
@click.pass_context
def command(ctx: click.Context, path: str, value: str | None, delete: bool, edit: bool) -> None:
    """PATH is dotted, as in wifi.ssid or lamps.0.pin; without one it is all of it.

    VALUE is JSON, or else a text. A change is saved, and the apps concerned are started anew.
    Passwords and keys show as "***"; that value leaves them as they are.
    """
    if (value is not None) + delete + edit > 1:
        fail("cfg: one of VALUE, --delete and --edit at a time")

    async def work(dev: Device) -> None:
        items = P(path).items if path else []
        if delete:
            await dev.cfg.delete(items)
        elif value is not None:
            await dev.cfg.set(items, value_of(value))
        else:
            here = await dev.cfg.get(items)
            if not edit:
                Console().print_json(json.dumps(here, default=as_json))
                return
            new = _edited(here)
            if new == here:
                return
            await dev.cfg.set(items, new)
        await _save(dev)

    with_device(ctx, work)


async def _save(dev: Device) -> None:
    try:
        in_force = await dev.cfg.save()
    except BaseException:
        await dev.cfg.load()  # or the change would go with the next one
        raise
    if not in_force:
        click.echo("saved; it takes effect at the next start of the device", err=True)
        return
    with suppress(CallError):  # the link may have no right to this
        for name, error in _troubles(await dev.call(["rdy_"])):
            click.echo(f"saved; but {name}: {error}", err=True)
        reason = (await dev.call(["sys", "info"]))["safe_mode"]
        if reason is not None:
            click.echo(f"saved; but the device is in safe mode now: {reason}", err=True)


def _troubles(state: dict[str, Any], path: tuple[Any, ...] = ()) -> list[tuple[str, str]]:
    """The apps of what `rdy_` has told that are not as they should be, and their errors."""
    found = [(dotted(path), state["error"])] if "error" in state else []
    for name, below in state.get("apps", {}).items():
        found += _troubles(below, (*path, name))
    return found


def _edited(value: Any) -> Any:
    """Return what the user makes of a value."""
    try:
        text = click.edit(json.dumps(value, indent=2) + "\n", extension=".json")
    except TypeError:
        fail("there are bytes in it, which JSON does not have: set the other parts by their paths")
    if text is None:
        return value
    try:
        return json.loads(text)
    except ValueError as exc:
        with NamedTemporaryFile("w", prefix="moat-cfg-", suffix=".json", delete=False) as kept:
            kept.write(text)
        fail(f"nothing has changed, this is no JSON: {exc}; what you wrote is in {kept.name}")
