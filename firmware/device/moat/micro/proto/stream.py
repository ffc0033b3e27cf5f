"""Byte streams on MicroPython: files, sockets, UARTs, asyncio's streams, and the console port.

The host's proto/stream.py has the counterparts on anyio.
"""

from asyncio import core

from moat.micro import rt
from moat.micro.proto.file import FileBuf, StdioBuf

__all__ = ("AIOBuf", "FileBuf", "SingleAIOBuf", "StdioBuf")


class AIOBuf(FileBuf):
    """A byte stream over a stream of MicroPython's asyncio; set `s` in `_ctx`.

    It goes to the socket below at once: asyncio's own buffer, from which a cancelled write
    would be sent twice, has to be empty.
    """

    def rd(self, buf):
        """See BaseBuf.rd."""
        return self._read(self._sock(), buf)

    def wr(self, buf):
        """See BaseBuf.wr."""
        return self._write(self._sock(), buf)

    def _sock(self):
        return None if self.s is None else self.s.s

    async def aclose(self):
        """Close the stream; who reads or writes gets LinkLost. Does no harm twice."""
        s = self.s
        if s is None:
            return
        self.s = None
        _wake(s.s)
        s.close()
        await s.wait_closed()


def _wake(s):
    """Wake who waits for `s`, which gets closed: its number may soon be another file's."""
    queue = core._io_queue
    waiting = queue.map.get(id(s))
    if waiting is not None:
        queue._dequeue(s)
        for task in waiting[:2]:
            if task is not None:
                core._task_queue.push(task)


class SingleAIOBuf(AIOBuf):
    """A byte stream over one stream of asyncio, say that of a server's client.

    It can be entered once; leaving it closes the stream.

    Args:
        s: the stream.
        name: of the peer, for messages.
    """

    def __init__(self, s, name=None):
        self.s = s
        self.name = name

    @rt.asynccontextmanager
    async def _ctx(self):
        if self.s is None:
            raise self._lost("it is closed, and cannot be opened again")
        try:
            yield self
        finally:
            await self.aclose()
