"""What the tests of byte streams share."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from moat.micro import rt
from moat.micro.errors import InUseError
from moat.micro.proto.stream import AnyioBuf


@contextmanager
def socket_pair():
    """Two sockets that are connected."""
    a, b = socket.socketpair()
    with a, b:
        yield a, b


class SocketBuf(AnyioBuf):
    """A byte stream over a connected socket."""

    def __init__(self, sock):
        self._sock = sock

    @asynccontextmanager
    async def _ctx(self):
        self.s = await SocketStream.from_socket(self._sock)
        try:
            yield self
        finally:
            await self.s.aclose()


async def rd(buf, n=100):
    """Read once; returns the bytes."""
    data = bytearray(n)
    return bytes(data[: await buf.rd(data)])


async def rd_until(buf, end):
    """Read until the data end like this; returns the bytes."""
    data = b""
    while not data.endswith(end):
        data += await rd(buf)
    return data


async def second_reader_is_refused(buf, wake):
    """Check that, and that the first reader goes on."""
    found = []

    async def read():
        found.append(await rd(buf))

    with anyio.fail_after(5):
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(InUseError):
                await rd(buf)
            await wake()
    assert found == [b"hello"]
