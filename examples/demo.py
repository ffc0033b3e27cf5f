"""Talk to a device: list its commands, call some, receive a stream of values, catch an error.

    python examples/demo.py [FOLDER]

The device is the unix image, a process on this machine; FOLDER (default: examples/demo_device)
holds its files. Everything that is shown comes from the device, in this run.
"""

import sys
from pathlib import Path

import anyio
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from moat.micro.device import connect
from moat.micro.errors import MoatError
from moat.micro.target import link_to

out = Console(highlight=False, soft_wrap=True)


class Printed:
    """Shows what the device prints, line by line, marked as such."""

    rest = ""

    def __call__(self, text):
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            out.print(f"  [yellow]device prints │ {escape(line.rstrip())}[/]")


async def show_tree(dev, path, tree):
    """Ask the device what commands and, marked with ~, what streams it has."""
    here = await dev.call([*path, "dir_"])
    for name in here["c"] + [f"{name} ~" for name in here["s"]]:
        if not name.endswith("_"):
            tree.add(escape(name))
    for name in here["d"]:
        await show_tree(dev, [*path, name], tree.add(f"[bold cyan]{name}"))


def bar(value, low, high, width=40):
    """A value as a bar."""
    part = min(max((value - low) / (high - low), 0), 1)
    return f"[{'red' if part > 0.6 else 'green'}]{'█' * round(width * part)}[/]"


async def demo(dev):
    out.rule("[bold]its commands")
    tree = Tree("device")
    await show_tree(dev, [], tree)
    out.print(tree)

    out.rule("[bold]calls")
    info = await dev.sys.info()
    out.print(f"sys.info    MicroPython {info['micropython']}, {info['mem_free']} bytes free")
    room = await dev.room.about()
    out.print(f"room.about  {room}")

    out.rule("[bold]a stream of values; calls and console text beside it")
    now, unit, heater = room["now"], room["unit"], room["heater"]
    async with dev.room.temperature(36, every_ms=50) as values:
        async for value in values:
            out.print(f"{value:6.1f} {escape(unit)} {bar(value, now - 2, now + 8)}")
            want = 90 if value < now else 0 if value > now + 5 else heater
            if want != heater:
                heater = want
                await dev.room.heat(want)
    out.print(f"the highest was {values.result:.1f} {escape(unit)}")

    out.rule("[bold]an error")
    try:
        await dev.room.heat(150)
    except Exception as exc:  # the device's, whichever it raises
        out.print(f"room.heat(150) raises [red]{type(exc).__name__}: {escape(str(exc))}[/]")


async def main(folder):
    async with connect(link_to("unix", cwd=str(folder)), console=Printed()) as dev:
        await demo(dev)


if __name__ == "__main__":
    try:
        anyio.run(main, Path(*sys.argv[1:2] or [Path(__file__).parent / "demo_device"]))
    except MoatError as exc:
        sys.exit(f"demo: {exc}")
