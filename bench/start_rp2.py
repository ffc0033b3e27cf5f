"""From the reset of the emulated rp2 to the first reply over its USB port.

start_rp2         instructions that it has carried out
start_rp2.board   milliseconds by its own clock, the pauses of USB included
start_rp2.wall    milliseconds here: those depend on this machine
"""

from __future__ import annotations

import time

from bench._figure import Figure, at_most
from moat.micro.testing.emulator import Emulator
from tests.system.desk import on, started

__all__ = ("measure",)

_MOST = 80_000_000


async def measure() -> list[Figure]:
    """Instructions and times."""
    async with Emulator() as board:
        await board.until(usb=True)
        async with on(board) as dev:
            before = dev._cmd.core.peer
            began = time.monotonic()
            await board.reset()
            await started(dev, before)
            assert await dev.sys.ping(1) == 1
            wall = time.monotonic() - began
            now = await board.statistics()
    return [
        Figure("start_rp2", now["instructions_since_reset"], "instructions", at_most(_MOST)),
        Figure("start_rp2.board", now["board_ms_since_reset"], "ms"),
        Figure("start_rp2.wall", wall * 1000, "ms"),
    ]
