"""Calls and streams of all kinds for some minutes: nothing is left over, memory stays flat.

    make soak-calls                          ten minutes on the unix image; MINUTES=… BOARD=…
    python -m tests.system.soak -m 2 qemu-arm

What load.py has, several at a time: calls, streams both ways, losing values or not, errors,
deadlines, calls of the device; most of it is cancelled or abandoned. On the unix image half of it
goes through a link app, to a second image. Every few seconds all of it ends; then each table at
each end has to be as empty as it was in the beginning, and the heap of the device is sampled
after a collection.

It ends with status 1 when something was wrong, or left over, or memory is gone: when in the last
third of the time there was never as much as half of the samples of the second third had, or when a
line through the samples of these two thirds falls, by more than they scatter, and by more than a
block of the heap in 2,000 calls.

Why samples scatter: the collector of MicroPython takes whatever looks like an address for one, and
coroutines that wait keep old values in slots that they do not use. Walks through the heap of unix
images showed what stays beyond that, between 10,000 and 600,000 calls: tables of pending calls and
free lists that had grown to the most they ever held, 0.9 KB on one device, 1.6 KB on the other.
In the first third such tables may grow.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import linear_regression, median_low
from tempfile import TemporaryDirectory

import anyio
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from moat.micro.testing.console import Console as Text
from tests.system import row
from tests.system.load import FILES, KINDS, Load, root
from tests.system.support import started

_ROUND = {"unix": 1000, "rp2": 30}  # calls and streams between two samples
_ROUND_OF_A_BOARD = 200
_LIMIT_S = 300  # of a round: something hangs
_SAMPLES = 24  # at least: fewer say little where they vary
_BEARABLE = 16  # bytes for 1,000 calls


class Result:
    """What has happened, and what is wrong with it."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.free = list[list[int]]()  # one sample after the other: of each device
        self.left = list[list[int]]()
        self.done = list[int]()  # at each sample, how many calls and streams
        self.seconds = 0.0
        self.wrong = list[str]()

    def check(self, left: list[list[int]]) -> None:
        """Compare what is open, when nothing should be, with what was open in the beginning."""
        if left != self.left:
            self.wrong.append(f"after {self.seconds:.0f} s left over: {left}, not {self.left}")
        core = self.load.dev._cmd.core
        if core.calls or core.served or core.out:
            self.wrong.append(f"after {self.seconds:.0f} s left over on the host")

    @property
    def gone(self) -> list[int]:
        """The bytes that are gone on each device."""
        third = len(self.free) // 3
        before, after = self.free[third : 2 * third], self.free[2 * third :]
        return [
            max(0, median_low(b) - max(a))
            for b, a in zip(zip(*before, strict=True), zip(*after, strict=True), strict=True)
        ]

    @property
    def falls(self) -> list[tuple[float, float]]:
        """The bytes that are lost for 1,000 calls on each device; twice the standard error."""
        third = len(self.free) // 3
        done = [number / 1000 for number in self.done[third:]]
        return [_fall(done, free) for free in zip(*self.free[third:], strict=True)]

    def judge(self) -> None:
        """Add to what is wrong that memory is gone."""
        if any(self.gone):
            self.wrong.append(f"{max(self.gone)} bytes are gone")
        for fall, error in self.falls:
            if fall - error > _BEARABLE:
                self.wrong.append(f"1,000 calls cost {fall:.1f} ± {error:.1f} bytes")

    def table(self) -> Table:
        """All of it, to be printed."""
        table = Table(show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name in KINDS:
            table.add_row(name, f"{self.load.count.get(name, 0):,}")
        table.add_section()
        table.add_row("all of these", f"{sum(self.load.count.values()):,}")
        table.add_row("seconds", f"{self.seconds:,.0f}")
        table.add_row("samples of the memory", f"{len(self.free):,}")
        devices = zip(zip(*self.free, strict=True), self.gone, self.falls, strict=True)
        for samples, gone, (fall, error) in devices:
            table.add_section()
            table.add_row("bytes free on a device, first", f"{samples[0]:,}")
            table.add_row("last", f"{samples[-1]:,}")
            table.add_row("least", f"{min(samples):,}")
            table.add_row("most", f"{max(samples):,}")
            table.add_row("gone", f"{gone:,}")
            table.add_row("lost for 1,000 calls", f"{fall:.1f} ± {error:.1f}")
        table.add_section()
        table.add_row("wrong", "; ".join(self.wrong) or "nothing")
        return table


def _fall(x: list[float], y: tuple[int, ...]) -> tuple[float, float]:
    """How fast y falls: the slope of the line through it, and twice the error of that."""
    slope, at_0 = linear_regression(x, y)
    rest = sum((b - at_0 - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    mean = sum(x) / len(x)
    spread = sum((a - mean) ** 2 for a in x)
    return -slope, 2 * math.sqrt(rest / (len(x) - 2) / spread)


@asynccontextmanager
async def loaded(board: str, seed: int) -> AsyncIterator[Load]:
    """Start a board, and on unix a second one that it is linked to."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        if board == "unix":
            async with row.two(folder, FILES, root()) as dev:
                yield Load(dev, ("next",), seed)
        else:
            async with started(f"emu:{board}", folder, Text(), FILES, root()) as dev:
                yield Load(dev, (), seed)


async def soak(board: str, minutes: float, seed: int, progress: Progress) -> Result:
    """Put load on the board for so long."""
    bar = progress.add_task(board, total=minutes * 60, said="")
    async with loaded(board, seed) as load:
        result = Result(load)
        number = _ROUND.get(board, _ROUND_OF_A_BOARD)
        began = time.monotonic()
        while result.seconds < minutes * 60 or len(result.free) < _SAMPLES:
            with anyio.fail_after(_LIMIT_S):
                await load.run(KINDS, number)
                await load.settled()
            if result.left:
                result.check(await load.left())
            else:
                result.left = await load.left()
            if missed := await load.missed():
                result.wrong.append(f"{missed} calls without a reply were not run")
            result.free.append(await load.free())
            result.done.append(sum(load.count.values()))
            result.seconds = time.monotonic() - began
            free = ", ".join(f"{n:,}" for n in result.free[-1])
            said = f"{sum(load.count.values()):,} done, {free} bytes free"
            progress.update(bar, completed=min(result.seconds, minutes * 60), said=said)
            if result.wrong:
                break
    result.judge()
    return result


def main(argv: list[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.system.soak")
    parser.add_argument("-m", "--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("board", nargs="?", default="unix")
    args = parser.parse_args(argv)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
    )  # fmt: skip
    console = Console()
    with Progress(*columns, console=console) as progress:
        result = anyio.run(soak, args.board, args.minutes, args.seed, progress)
    console.print(result.table())
    return 1 if result.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
