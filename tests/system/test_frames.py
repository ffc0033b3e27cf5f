"""SerialPackerBlkBuf on the console port, with the guard: 0x03 is data inside of frames only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from moat.micro.proto._serialpacker import Format
from moat.micro.proto.serialpacker import SerialPackerBlkBuf
from moat.micro.rt import Queue
from tests.system.support import is_process, link_in

OPTIONS: dict[str, Any] = {"max_packet": 1000, "max_idle": 250}
THREES = b"\3" * 100

# It says "ready", then echoes blocks. After the block "block" it blocks the event loop.
PROGRAM = f"""
from moat.micro import rt
from moat.micro.guard import Guard
from moat.micro.proto.serialpacker import SerialPackerBlkBuf
from moat.micro.proto.stream import StdioBuf

def interrupt():
    raise KeyboardInterrupt

async def main():
    port = StdioBuf()
    blk = SerialPackerBlkBuf(port, ctrl_c=interrupt, **{OPTIONS})
    guard = Guard(port, blk.look_ahead)
    async with blk:
        guard.session(True)
        try:
            data = b"ready"
            while True:
                await blk.snd(data)
                while data == b"block":
                    pass
                data = await blk.rcv()
        finally:
            guard.session(False)

rt.run(main)
"""


class Peer:
    """The host's end: it sends any bytes, and receives blocks and the console text."""

    def __init__(self, blk: SerialPackerBlkBuf) -> None:
        self._blk = blk
        self._text = b""
        self._blocks = Queue(100)

    async def read(self) -> None:
        """Receive blocks until this is cancelled."""
        while True:
            await self._blocks.put(bytes(await self._blk.rcv()))

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        await self._blk.cwr(data)

    async def receive(self, block: bytes) -> None:
        """The next block is this one."""
        assert await self._blocks.get() == block

    async def echo(self, block: bytes) -> None:
        """The device sends a block back."""
        await self._blk.snd(block)
        await self.receive(block)

    async def expect(self, text: bytes) -> None:
        """Wait until the device has printed `text`."""
        buf = memoryview(bytearray(1000))
        while text not in self._text:
            n = await self._blk.crd(buf)
            self._text += bytes(buf[:n])
        self._text = self._text.partition(text)[2]

    async def interrupt(self, after: bytes = b"", keys: bytes = b"\r\3") -> None:
        """A Ctrl-C stops the program, and gives the REPL, which gets what comes after it."""
        await self.write(keys + after)
        await self.expect(b"KeyboardInterrupt")
        await self.expect(b">>> ")


@asynccontextmanager
async def running(target: str, folder: Path) -> AsyncIterator[Peer]:
    """A device that runs PROGRAM instead of the stack."""
    blk = SerialPackerBlkBuf(link_in(target, folder), console=100_000, **OPTIONS)
    peer = Peer(blk)
    async with blk, anyio.create_task_group() as tasks:
        tasks.start_soon(peer.read)
        await peer.expect(b"\xc1")  # the stack has started
        await peer.write(b"\3")
        await peer.expect(b">>> ")
        await peer.write(b"exec(%r)\r" % PROGRAM)
        await peer.receive(b"ready")
        yield peer
        tasks.cancel_scope.cancel()


async def test_inside_of_a_frame_it_is_data(target: str, device_folder: Path) -> None:
    async with running(target, device_folder) as peer:
        for size in (1, 2, 3, 50, 255, 256, 1000):
            await peer.echo(b"\3" * size)
        await peer.interrupt()


async def test_by_itself_it_interrupts_after_a_silence(target: str, device_folder: Path) -> None:
    async with running(target, device_folder) as peer:
        await peer.echo(THREES)
        await peer.interrupt(keys=b"\3")


async def test_in_a_frame_whose_start_is_damaged_it_is_data(
    target: str, device_folder: Path
) -> None:
    async with running(target, device_folder) as peer:
        for start in (b"?", b"\3"):
            await peer.write(start + bytes(Format(max_packet=1000).encode(THREES))[1:])
            await peer.echo(THREES)
        await peer.write(bytes(Format(max_packet=1000).encode(bytes(1000)))[:50])
        await peer.echo(THREES)  # has waited for the silence
        await peer.interrupt()


async def test_by_itself_it_reaches_a_program_that_blocks(
    target: str, device_folder: Path
) -> None:
    if is_process(target):
        pytest.skip("there, a terminal makes a signal of it")
    async with running(target, device_folder) as peer:
        await peer.echo(b"block")
        await peer.interrupt(keys=b"\3")


async def test_behind_a_broken_frame_and_a_silence_it_interrupts(
    target: str, device_folder: Path
) -> None:
    async with running(target, device_folder) as peer:
        await peer.write(bytes(Format(max_packet=1000).encode(THREES * 10))[:50])
        await peer.echo(THREES)  # has waited for the silence
        await peer.interrupt()


async def test_it_reaches_a_program_that_blocks(target: str, device_folder: Path) -> None:
    if is_process(target):
        pytest.skip("there, a terminal makes a signal of it")
    async with running(target, device_folder) as peer:
        # Ahead of the Ctrl-C: a frame that contains the byte, in two pieces.
        data = bytes(Format(max_packet=1000).encode(THREES))
        await peer.echo(b"block")
        await peer.write(data[:25])
        await peer.write(data[25:])
        await peer.interrupt(b"print(6 * 7)\r")
        await peer.expect(b"\r\n42\r\n")
