"""List the commands of a device."""

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
from moat.micro.errors import LinkError, NotFoundError

_LINK = "A link to another device."

# Commands `c`, streams `s`, sub-levels `d` and links `l`; or why they are not known.
Level = dict[str, list[Any]] | str


async def _here(dev: Device, path: list[Any]) -> dict[str, list[Any]]:
    here = await dev.call([*path, "dir_"])
    return {
        "c": [name for name in here["c"] if not name.endswith("_")],
        "s": here["s"],
        "d": here["d"],
        "l": here.get("l", []),
    }


async def _level(dev: Device, path: list[Any]) -> Level:
    try:
        return await _here(dev, path)
    except LinkError:
        raise
    except Exception as exc:  # an app that does not load; the others may
        return f"{type(exc).__name__}: {exc}"


async def _top(dev: Device, path: list[Any]) -> tuple[list[Any], Level]:
    """Where to start, and what to show there: all of it, or the command that the path names."""
    try:
        return path, await _here(dev, path)
    except NotFoundError:
        if not path:
            raise
        above = await _here(dev, path[:-1])
        found: Level = {key: [x for x in above[key] if x == path[-1]] for key in "cs"}
        if not found["c"] and not found["s"]:
            raise
        return path[:-1], {**found, "d": [], "l": []}


async def _fill(tree: Tree, dev: Device, path: list[Any], level: Level) -> None:
    if isinstance(level, str):
        tree.add(f"[red]{escape(level)}[/red]")
        return
    for name in level["c"]:
        tree.add(escape(name))
    for name in level["s"]:
        tree.add(escape(f"{name} ~"))
    for name in level["d"]:
        below = [*path, name]
        branch = tree.add(f"[bold]{escape(str(name))}[/bold]")
        await _fill(branch, dev, below, await _level(dev, below))
    for name in level["l"]:  # they may lead in a circle
        tree.add(f"[bold]{escape(str(name))}[/bold] ->")


async def _walk(
    dev: Device, path: list[Any], level: Level
) -> AsyncIterator[tuple[list[Any], Level]]:
    yield path, level
    if not isinstance(level, str):
        for name in level["d"]:
            below = [*path, name]
            async for found in _walk(dev, below, await _level(dev, below)):
                yield found


async def _long(dev: Device, top: list[Any], first: Level) -> tuple[Table, set[str]]:
    """A table of all commands, and what there is to say about those that are not known."""
    docs = Docs(dev.call)
    table = Table("name", "parameters", "what it does", box=box.SIMPLE_HEAD)
    notes = set[str]()
    links = list[str]()
    async for path, level in _walk(dev, top, first):
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
        for name in level["l"]:
            links.append(dotted([*path[len(top) :], name]))
    for name in links:
        table.add_row(f"[bold]{escape(name)}[/] ->", "", _LINK)
    return table, notes


@click.command("ls")
@click.argument("path", required=False, default="")
@click.option("-l", "long", is_flag=True, help="Parameters, and a line about each command.")
@click.pass_context
def command(ctx: click.Context, path: str, long: bool) -> None:
    """PATH, dotted, is where to start; it may lead through links.

    The tree marks streams with a ~, and links to other devices with a ->.
    """

    async def work(dev: Device) -> None:
        top, level = await _top(dev, P(path).items if path else [])
        console = Console()
        if long:
            table, notes = await _long(dev, top, level)
            if not console.is_terminal:
                console.width = 160
            console.print(table)
            for note in sorted(notes):
                click.echo(note, err=True)
            return
        tree = Tree(escape(dotted(top) or ctx.obj["device"]))
        await _fill(tree, dev, top, level)
        console.print(tree)

    with_device(ctx, work)
