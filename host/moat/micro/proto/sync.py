"""SyncStream: a byte stream as the file that synchronous code expects; see proto.stream."""

from __future__ import annotations

import io
from typing import Any

__all__ = ["SyncStream"]


class SyncStream(io.RawIOBase):
    """A raw binary file over a byte stream `buf`, for code that cannot await.

    It reads and writes by `greenback`: the task that uses it goes on waiting in the event loop,
    other tasks run meanwhile. Switching costs time; do not use it where code can be async.

        await greenback.ensure_portal()  # once in the task that calls the synchronous code
        async with NetLink("localhost", 27587) as link:
            for message in msgpack.Unpacker(SyncStream(link)):
                ...

    The stream's end reads as b"", its errors are raised as they are; so is a cancellation, at
    the read or write that waits. A read returns what is there: use io.BufferedReader for lines,
    or for an exact number of bytes. Closing this does not close `buf`, whose context does.

    Args:
        buf: the byte stream, which is open as long as this is used.

    Raises:
        ImportError: greenback is not installed.
        RuntimeError: from reads and writes in a task without a portal.
    """

    def __init__(self, buf: Any) -> None:
        super().__init__()
        try:
            import greenback
        except ImportError:
            what = "SyncStream needs greenback: pip install 'moat-satellite[sync]'"
            raise ImportError(what) from None
        self._greenback = greenback
        self._buf = buf

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Wait for data, put what is there into `buffer`; returns its length, 0 at the end."""
        self._check()
        view = memoryview(buffer).cast("B")
        if not len(view):
            return 0
        try:
            return self._greenback.await_(self._buf.rd(view))
        except EOFError:
            return 0

    def write(self, data: Any, /) -> int:
        """Write all of `data`; returns its length."""
        self._check()
        copy = bytes(data)
        if copy:
            self._greenback.await_(self._buf.wr(copy))
        return len(copy)

    def _check(self) -> None:
        if self.closed:
            raise ValueError("the stream is closed")
        if not self._greenback.has_portal():
            raise RuntimeError(
                "SyncStream works in a task that has said `await greenback.ensure_portal()`, only"
            )
