"""The heap that the full lossy stack takes, and whether it grows, on qemu-arm.

SerialPacker with a CRC-32, MessagePack, ReliableMsg with a window of 8, calls; messages of 256
bytes. The method is that of heap_stack: gc.mem_free() at the raw REPL less what sys.info tells
in a session. The stack is named in a main.py, which is on the board's disk and counts, too.

heap_lossy               after 256-byte messages, eight at a time
heap_lossy.before_them   after the session has begun
heap_lossy.amid_them     the most that was seen while eight of them, and their replies, were
                         under way
heap_lossy.growth        what is gone after 10,000 more: 5,000 calls and their replies

A task that has ended is kept in memory by asyncio's queue until others have been queued, with all
that it held, see rt. So the most of some readings counts as free.

A buffer that holds the most it will ever hold grows once, by chance, and not again. So when
something is gone, 10,000 more messages have to confirm it: a leak shows each time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench._figure import Figure, at_most
from bench._heap import free, ping
from bench._repl import raw_repl
from moat.micro.device import Device, connect
from tests.system import lossy

__all__ = ("measure",)

_TARGET = "emu:qemu-arm"
_STACK = {"framing": "serialpacker", "reliable": {"window": 8}}
_AT_ONCE = 8
_WARM_UP = 1000
_CALLS = 5000
_TRIALS = 3
_READINGS = 5
# A call of sys.ping is a message of 256 bytes with so many in it.
_DATA = bytes(i & 255 for i in range(256 - 20))


async def measure() -> list[Figure]:
    """The bytes that the stack takes."""
    async with raw_repl(_TARGET) as repl:
        without = int(await repl.run("import gc;gc.collect();print(gc.mem_free())"))
    async with _session() as dev:
        await ping(dev, 1)
        at_first = await _free(dev)
        least = await _calls(dev, _WARM_UP)
        running = await _free(dev)
        growth = await _growth(dev, running)
    return [
        Figure("heap_lossy", without - running, "bytes", at_most(32 * 1024)),
        Figure("heap_lossy.before_them", without - at_first, "bytes"),
        Figure("heap_lossy.amid_them", without - least, "bytes"),
        Figure("heap_lossy.growth", growth, "bytes", at_most(0)),
    ]


@asynccontextmanager
async def _session() -> AsyncIterator[Device]:
    with TemporaryDirectory() as folder:
        async with (
            lossy.powered(_TARGET, Path(folder), lossy.files(_STACK)) as link,
            connect(link, stack=_STACK) as dev,
        ):
            yield dev


async def _free(dev: Device) -> int:
    return max([await free(dev) for _ in range(_READINGS)])


async def _growth(dev: Device, before: int) -> int:
    growth = 0
    for _ in range(_TRIALS):
        await _calls(dev, _CALLS)
        after = await _free(dev)
        growth = before - after
        if growth <= 0:
            break
        before = after
    return growth


async def _calls(dev: Device, calls: int) -> int:
    """Make so many calls with messages of 256 bytes; returns the least memory that was free."""
    frees = list[int]()

    async def work(numbers: Iterator[int]) -> None:
        for n in numbers:
            if n % 40 == 39:
                frees.append(await free(dev))
            else:
                assert await dev.sys.ping(_DATA) == _DATA

    async with anyio.create_task_group() as tasks:
        numbers = iter(range(calls))
        for _ in range(_AT_ONCE):
            tasks.start_soon(work, numbers)
    return min(frees)
