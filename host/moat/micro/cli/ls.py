"""List the commands of a device as a tree; streams have a ~, links to other devices a ->."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from moat.micro.cli._session import with_device
from moat.micro.device import Device, P
from moat.micro.errors import LinkError


async def _fill(tree: Tree, dev: Device, path: list[Any]) -> None:
    try:
        here = await dev.call([*path, "dir_"])
    except LinkError:
        raise
    except Exception as exc:  # an app that does not load; the others may
        tree.add(f"[red]{escape(f'{type(exc).__name__}: {exc}')}[/red]")
        return
    for name in here["c"]:
        if not name.endswith("_"):
            tree.add(name)
    for name in here["s"]:
        tree.add(f"{name} ~")
    for name in here["d"]:
        await _fill(tree.add(f"[bold]{escape(str(name))}[/bold]"), dev, [*path, name])
    for name in here.get("l", ()):  # they may lead in a circle
        tree.add(f"[bold]{escape(str(name))}[/bold] ->")


@click.command("ls", help=__doc__)
@click.argument("path", required=False, default="")
@click.pass_context
def command(ctx: click.Context, path: str) -> None:
    """PATH, dotted, is where to start."""

    async def work(dev: Device) -> None:
        tree = Tree(path or ctx.obj["device"])
        await _fill(tree, dev, P(path).items if path else [])
        Console().print(tree)

    with_device(ctx, work)
