"""What one sys.ping allocates on the device, on qemu-arm.

With the garbage collector off, a program on the device prints gc.mem_alloc() three times: then
come N calls of sys.ping, and 2 N. Running and printing the program costs the same each time, so
the difference of the differences is that of N calls. Memory that is freed at once, as that of a
buffer that grows, does not count: the collector never meets it.
"""

from __future__ import annotations

from bench._figure import Figure, at_most
from moat.micro.device import Device, connect
from moat.micro.program import run_program
from moat.micro.testing.console import Console

__all__ = ("measure", "per_call")

_CALLS = 5  # the heap has to last for all of them
_SNAPSHOT = "import gc\ngc.disable()\nprint('<', gc.mem_alloc(), '>')\n"


def per_call(snapshots: list[int], calls: int) -> float:
    """Bytes of one call; `calls` lie between the first two snapshots, then twice as many."""
    first, second, third = snapshots
    return ((third - second) - (second - first)) / calls


async def _snapshot(dev: Device, console: Console) -> int:
    console.text = ""
    await run_program(dev, _SNAPSHOT)
    await console.expect(">")
    return int(console.text.split()[1])


async def measure() -> list[Figure]:
    """The bytes of one call."""
    console = Console()
    async with connect("emu:qemu-arm", console=console) as dev:
        await run_program(dev, "import gc\ngc.collect()\n")
        snapshots: list[int] = []
        for calls in (_CALLS, _CALLS, 2 * _CALLS):
            for _ in range(calls):
                await dev.sys.ping()
            snapshots.append(await _snapshot(dev, console))
    return [Figure("heap_ping", per_call(snapshots, _CALLS), "bytes", at_most(2048))]
