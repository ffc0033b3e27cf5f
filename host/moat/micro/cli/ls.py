"""List the commands of a device as a tree; streams have a ~, links to other devices a ->."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from moat.micro.cli._session import with_device
from moat.micro.cmd.path import P, dotted
from moat.micro.device import Device
from moat.micro.docs import Docs
from moat.micro.errors import LinkError

# Commands, streams and sub-levels; or why they are not known.
Level = dict[str, list[Any]] | str


async def _level(dev: Device, path: list[Any]) -> Level:
    try:
        here = await dev.call([*path, "dir_"])
    except LinkError:
        raise
    except Exception as exc:  # an app that does not load; the others may
        return f"{type(exc).__name__}: {exc}"
    return {
        "c": [name for name in here["c"] if not name.endswith("_")],
        "s": here["s"],
        "d": here["d"],
    }


async def _fill(tree: Tree, dev: Device, path: list[Any]) -> None:
    level = await _level(dev, path)
    if isinstance(level, str):
        tree.add(f"[red]{escape(level)}[/red]")
        return
    for name in level["c"]:
        tree.add(name)
    for name in level["s"]:
        tree.add(f"{name} ~")
    for name in level["d"]:
        await _fill(tree.add(f"[bold]{escape(str(name))}[/bold]"), dev, [*path, name])
    for name in level.get("l", ()):  # they may lead in a circle
        tree.add(f"[bold]{escape(str(name))}[/bold] ->")


async def _walk(dev: Device, path: list[Any]) -> AsyncIterator[tuple[list[Any], Level]]:
    level = await _level(dev, path)
    yield path, level
    if not isinstance(level, str):
        for name in level["d"]:
            async for found in _walk(dev, [*path, name]):
                yield found


async def _long(dev: Device, top: list[Any]) -> tuple[Table, set[str]]:
    """A table of all commands, and what there is to say about those that are not known."""
    docs = Docs(dev.call)
    table = Table("name", "parameters", "what it does", box=box.SIMPLE_HEAD)
    notes = set[str]()
    async for path, level in _walk(dev, top):
        await docs.learn(path)
        at = dotted(path[len(top) :])
        if isinstance(level, str):
            table.add_row(f"[bold]{escape(at)}[/]", "", f"[red]{escape(level)}[/]")
            continue
        if at:
            table.add_row(f"[bold]{escape(at)}[/]", "", escape(docs.line(path)))
        for name in sorted(level["c"] + level["s"]):
            entry = docs.find([*path, name])
            shown = dotted([*path[len(top) :], name]) + (" ~" if name in level["s"] else "")
            if entry:
                table.add_row(escape(shown), escape(entry.parameters), escape(entry.line))
            else:
                table.add_row(escape(shown), "[dim]?[/]", "")
                notes.add(docs.missing([*path, name]))
    return table, notes


@click.command("ls", help=__doc__)
@click.argument("path", required=False, default="")
@click.option("-l", "long", is_flag=True, help="Parameters, and a line about each command.")
@click.pass_context
def command(ctx: click.Context, path: str, long: bool) -> None:
    """PATH, dotted, is where to start."""

    async def work(dev: Device) -> None:
        items = P(path).items if path else []
        console = Console()
        if long:
            table, notes = await _long(dev, items)
            if not console.is_terminal:
                console.width = 160
            console.print(table)
            for note in sorted(notes):
                click.echo(note, err=True)
            return
        tree = Tree(path or ctx.obj["device"])
        await _fill(tree, dev, items)
        console.print(tree)

    with_device(ctx, work)
