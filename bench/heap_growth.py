"""Free memory of the device before and after 10,000 calls of sys.ping, on qemu-arm."""

from __future__ import annotations

from bench._figure import Figure, at_most
from bench._heap import free, ping
from moat.micro.device import connect

__all__ = ("measure",)

_CALLS = 10_000
_WARM_UP = 300  # all ids of calls have been used once


async def measure() -> list[Figure]:
    """The bytes that are gone."""
    async with connect("emu:qemu-arm") as dev:
        await ping(dev, _WARM_UP)
        before = await free(dev)
        await ping(dev, _CALLS)
        after = await free(dev)
    return [
        Figure("heap_growth", before - after, "bytes", at_most(0)),
        Figure("heap_growth.free", after, "bytes"),
    ]
