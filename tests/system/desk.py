"""The emulated rp2 as a board on a desk: hosts that connect again, resets, files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import PurePosixPath
from typing import Any

import anyio

from moat.micro.device import Device, connect, ready
from moat.micro.proto.stack import Base, BaseBuf
from moat.micro.testing.emulator import Emulator

#: The link goes away with each reset of the board, and comes again.
STACK = {"reconnect": {"base_ms": 10, "max_ms": 100, "keep_trying": True}}


def on(board: Emulator, link: Base | None = None) -> AbstractAsyncContextManager[Device]:
    """A host that connects again when the board is there again."""
    return connect(link or board.link(), stack=STACK, timeout=25)


async def reset(board: Emulator, dev: Device) -> None:
    """Reset the board, and wait until it can be called again."""
    before = dev._cmd.core.peer
    await board.reset()
    await started(dev, before)


async def started(dev: Device, before: object) -> None:
    """Wait for another session than the one before."""
    changed = dev._cmd._changed
    while dev._cmd.core.peer == before:
        changed.clear()
        await changed.wait()
    await ready(dev)


async def until(board: Emulator, done: Callable[[dict[str, Any]], bool]) -> None:
    """Wait for something in the statistics."""
    while not done(await board.statistics()):  # noqa: ASYNC110 -- nothing tells when it has changed
        await anyio.sleep(0.02)


async def write(dev: Device, name: str, data: bytes) -> None:
    """Write a file on the device."""
    await dev.sys.exec(f"with open({name!r}, 'wb') as f:\n    f.write({data!r})")


async def write_files(dev: Device, files: Mapping[str, str | bytes]) -> None:
    """Write files on the device, and make their folders, which are at the top."""
    await dev.sys.exec("import os")
    there = await dev.sys.eval("os.listdir('/')")
    for folder in {str(PurePosixPath(name).parent) for name in files} - {".", *there}:
        await dev.sys.exec(f"os.mkdir('/{folder}')")
    for name, data in files.items():
        await write(dev, f"/{name}", data.encode() if isinstance(data, str) else data)


async def expect(link: BaseBuf, text: bytes) -> None:
    """Read until there is this text."""
    seen, buf = b"", memoryview(bytearray(256))
    while text not in seen:
        n = await link.rd(buf)
        seen += bytes(buf[:n])
