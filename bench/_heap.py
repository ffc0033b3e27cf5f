"""Calls, and the free memory of a device that serves them."""

from __future__ import annotations

from moat.micro.device import Device

__all__ = ("free", "ping")


async def ping(dev: Device, calls: int) -> None:
    """Call sys.ping so many times, one after the other."""
    for _ in range(calls):
        await dev.sys.ping()


async def free(dev: Device) -> int:
    """Bytes that are free after a collection (sys.info does one)."""
    return (await dev.sys.info())["mem_free"]
