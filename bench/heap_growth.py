"""Free memory of the device before and after 10,000 calls of sys.ping, on qemu-arm."""

from __future__ import annotations

from bench._figure import Figure, at_most
from moat.micro.device import Device, connect

__all__ = ("measure",)

_CALLS = 10_000
_WARM_UP = 300  # all ids of calls have been used once


async def _ping(dev: Device, calls: int) -> None:
    for _ in range(calls):
        await dev.sys.ping()


async def _free(dev: Device) -> int:
    """What is free after a collection (sys.info does one)."""
    return (await dev.sys.info())["mem_free"]


async def measure() -> list[Figure]:
    """The bytes that are gone."""
    async with connect("emu:qemu-arm") as dev:
        await _ping(dev, _WARM_UP)
        before = await _free(dev)
        await _ping(dev, _CALLS)
        after = await _free(dev)
    return [
        Figure("heap_growth", before - after, "bytes", at_most(0)),
        Figure("heap_growth.free", after, "bytes"),
    ]
