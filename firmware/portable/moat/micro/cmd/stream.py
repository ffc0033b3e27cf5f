"""Both ends of a stream of values that belongs to a call."""

from msgpack import packb

from moat.micro import rt
from moat.micro.cmd._span import decode
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class Sender:
    """What a ``stream_NAME`` command sends its values with."""

    def __init__(self, cmd: "Any", served: "Any") -> None:
        self._cmd = cmd
        self._served = served

    async def send(self, value: "Any") -> None:
        """Send one value; waits while the reader, or the line, is slow.

        Cancelled, it has sent nothing. TypeError: MessagePack cannot express the value.
        MessageTooLongError: the reader would not take it. LinkLost: the reader is gone.
        """
        await self._cmd.item(self._served, packb(value))


class Stream:
    """A stream of the peer's values: an async context manager, and an async iterator.

    Leaving the context ends the command at the far end. At its end the iteration stops;
    `result` then holds what the command returned. An error of the command is raised.
    """

    def __init__(
        self, cmd: "Any", path: "list[Any]", args: "tuple[Any, ...]", kw: "dict[str, Any]"
    ) -> None:
        self._cmd = cmd
        self._start = (path, args, kw)
        self._items: "list[Any]" = []
        self._changed = rt.Event()
        self._taken = 0  # bytes that were read and not yet granted again
        self._ended = False
        self._error: "BaseException | None" = None
        self._data: "bytes | None" = None

    async def __aenter__(self) -> "Stream":
        path, args, kw = self._start
        self._ident = self._cmd.start(self, path, args, kw, self._cmd.window)
        return self

    async def __aexit__(self, et: "Any", exc: "Any", tb: "Any") -> None:
        if not self._ended:
            self._cmd.stop(self._ident, self)

    def put(self, data: "Any") -> None:
        """A value has arrived; called by CmdMsg."""
        self._items.append(data if isinstance(data, bytes) else b"")  # which is no value
        self._changed.set()

    def end(self, data: "Any", error: "Any") -> None:
        """The command has ended; called by CmdMsg."""
        self._ended = True
        self._data = data
        self._error = error
        self._changed.set()

    @property
    def result(self) -> "Any":
        """What the command returned; None before its end."""
        return None if self._data is None else decode(self._data)

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> "Any":
        try:
            return await self.recv()
        except EOFError:
            raise StopAsyncIteration

    async def recv(self) -> "Any":
        """Wait for the next value. EOFError: the command has ended."""
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise EOFError
            self._changed.clear()
            await self._changed.wait()
        data = self._items.pop(0)
        self._taken += len(data) + 1
        if self._taken * 2 >= self._cmd.window:
            self._cmd.grant(self._ident, self, self._taken)
            self._taken = 0
        return decode(data)
