"""Show how long each part of the way to a command takes."""

from __future__ import annotations

import time
from statistics import median

import click
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from moat.micro.cli._session import with_device
from moat.micro.cli.call import parse
from moat.micro.device import Device, P

Hops = list[tuple[str, int]]


async def _measure(dev: Device, path: str, arguments: tuple[str, ...], calls: int) -> list[Hops]:
    """Return for each call the names on its way and the microseconds spent behind them."""
    args, kw = parse(arguments)
    found: list[Hops] = []
    for _ in range(calls):
        call = dev.call(P(path), *args, **kw).using(trace=True)
        began = time.perf_counter()
        await call
        us = round((time.perf_counter() - began) * 1e6)
        found.append([("here", us), *call.trace])
    return found


def parts(traces: list[Hops]) -> list[tuple[str, float]]:
    """Return the parts of the way with the median of their microseconds.

    The link to each hop takes what the hop before it has waited, less what the hop itself has;
    what is left at the end is the command's.
    """
    names = [name or f"hop {n}" for n, (name, _) in enumerate(traces[0])]
    rows: list[tuple[str, float]] = []
    for n in range(1, len(names)):
        link = median(hops[n - 1][1] - hops[n][1] for hops in traces)
        rows.append((f"{names[n - 1]} - {names[n]}", link))
    rows.append(("the command", median(hops[-1][1] for hops in traces)))
    return rows


@click.command("trace", context_settings={"ignore_unknown_options": True})
@click.option(
    "-n", "--calls", default=5, show_default=True, metavar="N", type=click.IntRange(1),
    help="Run the command N times, and show the medians.",
)  # fmt: skip
@click.argument("path")
@click.argument("arguments", nargs=-1, metavar="[VALUE | NAME=VALUE]...")
@click.pass_context
def command(ctx: click.Context, path: str, arguments: tuple[str, ...], calls: int) -> None:
    """PATH is dotted, as in sys.ping; VALUES are those of `moat-sat call`.

    Each call is a real one: the command runs as often as -n says.
    """

    async def work(dev: Device) -> None:
        rows = parts(await _measure(dev, path, arguments, calls))
        whole = sum(us for _, us in rows)
        table = Table("part", "ms", "", title=f"{path}: {whole / 1000:.2f} ms")
        table.columns[1].justify = "right"
        begin = 0.0
        for name, us in rows:
            bar = Bar(whole, begin, begin + us, width=40, color="cyan")
            table.add_row(name, f"{us / 1000:.2f}", bar)
            begin += us
        Console().print(table)

    with_device(ctx, work)
