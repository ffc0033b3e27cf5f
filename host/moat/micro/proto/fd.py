"""FdBuf: a byte stream over file descriptors (POSIX)."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import anyio

from moat.micro.errors import InUseError, LinkLost
from moat.micro.proto.stack import BaseBuf

__all__ = ["FdBuf"]


class FdBuf(BaseBuf):
    """A byte stream over non-blocking file descriptors; `_ctx` uses `_open` and `_close`.

    On asyncio the descriptor stays registered with the event loop from one read to the next, and
    is read when it becomes ready: to register it each time takes a third of the time of a call.
    """

    _waiter: Any = None
    _loop: asyncio.AbstractEventLoop | None = None
    _inp = _out = -1
    _name = ""

    def _open(self, name: str, inp: int, out: int) -> None:
        """Begin to use the descriptors, which stay the caller's; `name` is for messages."""
        self._name = name
        self._inp = inp
        self._out = out
        self._rest = b""  # what a cancelled write has left over; it goes first
        self._kept = b""  # what has arrived for a read that was cancelled
        self._watched = False
        on_asyncio = anyio.get_cancelled_exc_class() is asyncio.CancelledError
        self._loop = asyncio.get_running_loop() if on_asyncio else None

    def _close(self) -> None:
        """Stop using them; do this before they are closed. Who waits for them gets LinkLost."""
        self._unwatch()
        if self._loop is not None and self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(anyio.ClosedResourceError())
        for fd in (self._inp, self._out):
            if fd >= 0:
                anyio.notify_closing(fd)
        self._inp = self._out = -1  # the numbers may soon be somebody else's

    def _unwatch(self) -> None:
        if self._watched and self._loop is not None:
            self._watched = False
            self._loop.remove_reader(self._inp)

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd."""
        if self._waiter is not None:
            raise InUseError("somebody reads already")
        if self._inp < 0:
            raise self._lost(anyio.ClosedResourceError())
        if self._kept:
            n = min(len(buf), len(self._kept))
            buf[:n] = self._kept[:n]
            self._kept = self._kept[n:]
            return n
        try:
            n = await (self._rd_watched(buf) if self._loop is not None else self._rd_any(buf))
        except (OSError, anyio.ClosedResourceError) as exc:
            raise self._lost(exc) from exc
        finally:
            self._waiter = None
        if n == 0:
            raise EOFError
        return n

    async def _rd_any(self, buf: Any) -> int:
        self._waiter = True
        while True:
            await anyio.wait_readable(self._inp)
            try:
                return os.readv(self._inp, [buf])
            except BlockingIOError:
                continue  # it was for somebody else

    async def _rd_watched(self, buf: Any) -> int:
        assert self._loop is not None
        self._waiter = waiter = self._loop.create_future()
        self._buf = buf
        if not self._watched:
            self._watched = True
            self._loop.add_reader(self._inp, self._readable)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._kept = bytes(buf[: waiter.result()])
            raise

    def _readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._unwatch()  # nobody reads now, and the loop would call again and again
            return
        try:
            waiter.set_result(os.readv(self._inp, [self._buf]))
        except BlockingIOError:
            pass
        except OSError as exc:
            waiter.set_exception(exc)

    async def wr(self, buf: Any) -> None:
        """See BaseBuf.wr. What a cancelled write has left over goes first in the next one."""
        if self._out < 0:
            raise self._lost(anyio.ClosedResourceError())
        self._rest = self._rest + bytes(buf) if self._rest else bytes(buf)
        try:
            while self._rest:
                try:
                    n = os.write(self._out, self._rest)
                except BlockingIOError:
                    await anyio.wait_writable(self._out)
                else:
                    self._rest = self._rest[n:]
        except (OSError, anyio.ClosedResourceError) as exc:
            raise self._lost(exc) from exc

    def _lost(self, exc: Exception) -> LinkLost:
        why = exc.strerror if isinstance(exc, OSError) else "it is closed"
        return LinkLost(f"{self._name}: {why}")
