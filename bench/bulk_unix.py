"""Streams of 2 KiB blocks from the unix image and back, against bytes without any protocol.

Raw is the FileBuf of the console port, on such pipes, that writes or reads blocks of the
same size.

bulk_unix           bytes per second over both ways, one after the other
bulk_unix.from, to  one way
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from bench._figure import Figure, at_least
from bench._speed import speedy
from moat.micro.boards import load
from moat.micro.device import Device
from moat.micro.net.process import ProcessLink

__all__ = ("measure",)

_SIZE = 2048
_BLOCKS = 2000
_ROUNDS = 9

_RAW = """
from moat.micro import rt
from moat.micro.proto.stream import StdioBuf
async def main():
    block = bytearray({size})
    async with StdioBuf() as port:
        while True:
            await port.rd(memoryview(block)[:1])
            if block[0] == 1:
                for _ in range({blocks}):
                    await port.wr(block)
            else:
                left = {size} * {blocks}
                while left:
                    left -= await port.rd(block)
                await port.wr(b"!")
rt.run(main)
"""


async def measure() -> list[Figure]:
    """Bytes per second as ratios, both ways; medians over rounds in which each had its turn."""
    async with speedy() as dev, _raw() as raw:
        actions: dict[str, Callable[[], Awaitable[Any]]] = {
            "raw_from": lambda: _raw_from(raw),
            "raw_to": lambda: _raw_to(raw),
            "from": lambda: _from(dev),
            "to": lambda: _to(dev),
        }
        samples: dict[str, list[float]] = {name: [] for name in actions}
        for _ in range(_ROUNDS):
            for name, action in actions.items():
                began = time.perf_counter()
                await action()
                samples[name].append(time.perf_counter() - began)
    took = {name: statistics.median(times) for name, times in samples.items()}
    both = (took["raw_from"] + took["raw_to"]) / (took["from"] + took["to"])
    rate = {name: _SIZE * _BLOCKS / seconds for name, seconds in took.items()}
    return [
        Figure("bulk_unix", both, "x raw", at_least(0.4)),
        Figure("bulk_unix.from", took["raw_from"] / took["from"], "x raw"),
        Figure("bulk_unix.to", took["raw_to"] / took["to"], "x raw"),
        *(Figure(f"bulk_unix.rate_{name}", rate[name] / 1e6, "MB/s") for name in rate),
    ]


@asynccontextmanager
async def _raw() -> AsyncIterator[ProcessLink]:
    image = load("unix").image_path
    source = _RAW.format(size=_SIZE, blocks=_BLOCKS)
    async with ProcessLink([str(image), "-c", source]) as link:
        yield link


async def _raw_from(link: ProcessLink) -> None:
    await link.wr(b"\1")
    left = _SIZE * _BLOCKS
    buf = bytearray(_SIZE)
    while left:
        left -= await link.rd(buf)


async def _raw_to(link: ProcessLink) -> None:
    await link.wr(b"\2")
    block = bytes(_SIZE)
    for _ in range(_BLOCKS):
        await link.wr(block)
    await link.rd(bytearray(1))


async def _from(dev: Device) -> None:
    n = 0
    async with dev.speed.blocks(_BLOCKS, _SIZE) as st:
        async for block in st:
            n += len(block)
    _check(n)


async def _to(dev: Device) -> None:
    block = bytes(_SIZE)
    async with dev.speed.sink() as st:
        for _ in range(_BLOCKS):
            await st.send(block)
        await st.finish()
        async for _ in st:
            raise RuntimeError("it said something")
    _check(st.result)


def _check(n: int) -> None:
    if n != _SIZE * _BLOCKS:
        raise RuntimeError(f"{n} bytes have arrived")
