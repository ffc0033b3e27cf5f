"""The heap of the emulated rp2 that the stack takes, and what is left, with one link and with two.

heap_rp2         with the console port (USB CDC) only
heap_rp2.both    with the lossy stack on UART0, too, by config: SerialPacker with a CRC-32,
                 ReliableMsg with a window of 8; a session on both, and messages of 256 bytes

The method is that of heap_stack: what is free at the raw REPL less what sys.info tells. `.free`
is what is left for the user's program, `.largest` the largest block that it can have then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgpack import packb

from bench._figure import Figure, at_least, at_most
from bench._heap import free
from bench._repl import raw_repl
from moat.micro.device import Device, connect
from moat.micro.stacks import build_stack
from moat.micro.testing.emulator import Emulator
from tests.system.desk import on, reset, write

__all__ = ("measure",)

_TARGET = "emu:rp2"
_LOSSY = {"framing": "serialpacker", "reliable": {"window": 8}}
_CONFIG = {"serve": [{"link": {"kind": "serial", "port": 0, "baudrate": 921600}, **_LOSSY}]}
_DATA = bytes(i & 255 for i in range(256 - 20))
_CALLS = 40
_READINGS = 5
_LARGEST = """
import gc
def largest():
    gc.collect()
    low, high = 0, gc.mem_free()
    while high - low > 256:
        n = (low + high) // 2
        try:
            bytearray(n)
            low = n
        except MemoryError:
            high = n
    return low
"""


async def measure() -> list[Figure]:
    """The bytes that the stack takes, what is free then, and the largest block of that."""
    async with raw_repl(_TARGET) as repl:
        without = int(await repl.run("import gc;gc.collect();print(gc.mem_free())"))
    async with Emulator() as board:
        await board.until(usb=True)
        async with on(board) as dev:
            one = await _figures("heap_rp2", without, dev, (24, 200, 128))
            await write(dev, "/moat.cfg", packb(_CONFIG))
            await reset(board, dev)
            async with _session(board) as other:
                await _calls(other)
                both = await _figures("heap_rp2.both", without, dev, (40, 185, 128))
    return [*one, *both]


@asynccontextmanager
async def _session(board: Emulator) -> AsyncIterator[Device]:
    async with connect(build_stack(_LOSSY, board.link("uart0")), docs=False) as dev:
        yield dev


async def _calls(dev: Device) -> None:
    for _ in range(_CALLS):
        assert await dev.sys.ping(_DATA) == _DATA


async def _figures(
    name: str, without: int, dev: Device, bars: tuple[int, int, int]
) -> list[Figure]:
    await _calls(dev)
    # What a task that has ended held is kept for a while, see rt.
    left = max([await free(dev) for _ in range(_READINGS)])
    await dev.sys.exec(_LARGEST)
    largest = await dev.sys.eval("largest()")
    most, free_bar, block = (bar * 1024 for bar in bars)
    return [
        Figure(name, without - left, "bytes", at_most(most)),
        Figure(f"{name}.free", left, "bytes", at_least(free_bar)),
        Figure(f"{name}.largest", largest, "bytes", at_least(block)),
    ]
