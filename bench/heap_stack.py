"""How much of the heap the running stack takes, on qemu-arm.

gc.mem_free() after gc.collect() is taken twice on the same image, started anew for each:

without  at the raw REPL, after the soft reset that comes with it: boot code has run and the file
         system is mounted, no module of ours and no asyncio is imported. What the raw REPL needs
         for the line of code that measures counts as used here.
with     by sys.info in a session with a host over the serial port, as the board starts by itself:
         asyncio, the stack, the apps sys (which answers) and run (listed, not imported), the
         call that asks, and the buffers that earlier messages made grow.

The figure is the difference, nothing is left out.
"""

from __future__ import annotations

from bench._figure import Figure, at_most
from bench._heap import free, ping
from bench._repl import raw_repl
from moat.micro.device import connect

__all__ = ("measure",)

_TARGET = "emu:qemu-arm"


async def measure() -> list[Figure]:
    """The bytes that the stack takes, and what is free without and with it."""
    async with raw_repl(_TARGET) as repl:
        without = int(await repl.run("import gc;gc.collect();print(gc.mem_free())"))
    async with connect(_TARGET) as dev:
        await ping(dev, 1)
        running = await free(dev)
    return [
        Figure("heap_stack", without - running, "bytes", at_most(24 * 1024)),
        Figure("heap_stack.free_without", without, "bytes"),
        Figure("heap_stack.free_with", running, "bytes"),
    ]
