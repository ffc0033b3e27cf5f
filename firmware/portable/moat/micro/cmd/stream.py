"""Both ends of a stream of values that belongs to a call: each may send and receive.

Credit is counted in encoded bytes: each value costs its length and one. While it is positive
one more value may be sent, which may exceed it. So who does not read has to keep at most its
window and one value. A peer that sends more has its stream ended with a ProtocolError.
"""

from moat.micro import rt
from moat.micro.cmd._errors import to_wire
from moat.micro.cmd._span import decode
from moat.micro.cmd._wire import KEEP
from moat.micro.cmd.call import error_from
from moat.micro.const import const
from moat.micro.errors import LinkLost, MessageTooLongError, ProtocolError
from moat.micro.proto.msgpack_blk import pack_into

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_QUEUED = const(32)  # messages; calls without a reply are refused at twice as many
_MESSAGE = const(64)  # bytes of memory that a queued value takes besides its own


class Stream:
    """Sends, receives, and iterates over what it receives.

    `dropped` is the number of received values that the sender has left out so far, since there
    was no credit; see `keep` of call.options.
    """

    dropped = 0
    _credit = 0
    _more: "Any" = None  # event: there is more credit
    _keep = 0
    _kept: "Any" = ()  # encoded values that wait for credit, if older ones may be dropped
    _kept_bytes = 0
    _lost = 0
    _over = False  # no more values arrive
    _ahead = 0  # bytes that were queued since we have waited for the line
    _allowed = 0  # bytes that the peer may send

    def __init__(self, cmd: "Any") -> None:
        self._cmd = cmd
        self._items: "list[Any]" = []
        self._changed = rt.Event()
        self._taken = 0  # bytes that were read and not yet granted again

    def credit_left(self) -> int:
        """Bytes that may be sent."""
        return self._credit

    def is_over(self) -> bool:
        """Whether no more values arrive."""
        return self._over

    # ---- to be overridden

    def _error(self) -> "BaseException | None":
        """Why the stream has ended, or None."""
        return None

    def _is_open(self):
        return True

    def _window(self):
        """Bytes that the peer may be ahead of our reader."""
        return self._cmd.window

    def _message(self, data, dropped):
        """The message that carries a value."""

    def _ask(self):
        """Somebody waits for a value."""

    def _grant(self, n):
        """Allow the peer `n` more bytes."""

    def _refuse(self, exc):
        """End the stream: the peer does not keep to the protocol."""

    # ---- receiving

    def put(self, data: "Any", dropped: int) -> None:
        """A value has arrived; called by CmdMsg."""
        if self._allowed <= 0:
            self._refuse(ProtocolError("the peer has sent more than it was allowed to"))
            return
        self._allowed -= len(data) + 1
        self.dropped += dropped
        items = self._items
        if not items:
            self._changed.set()
        items.append(data)

    def over(self) -> None:
        """No more values will arrive; called by CmdMsg."""
        self._over = True
        self._changed.set()
        if self._more is not None:
            self._more.set()

    def __aiter__(self) -> "Any":
        return self

    async def recv(self) -> "Any":
        """Wait for the next value. EOFError: there will be none."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise EOFError

    async def __anext__(self) -> "Any":
        items = self._items
        while not items:
            if self._over:
                exc = self._error()
                if exc is not None:
                    raise exc
                raise StopAsyncIteration
            self._ask()
            self._changed.clear()
            await self._changed.wait()
        data = items.pop(0)
        self._taken += len(data) + 1
        if self._taken * 2 >= self._window():
            n = self._taken
            self._taken = 0
            self._allowed += n
            self._grant(n)
        return decode(data)

    # ---- sending

    def add(self, n: int) -> None:
        """There is more credit; called by CmdMsg."""
        self._credit += n
        if self._kept:
            self.drain()
        if self._more is not None:
            self._more.set()

    async def send(self, value: "Any") -> None:
        """Send one value; waits while the reader, or the line, is slow.

        With `keep` it does not wait, and leaves out the oldest values. Cancelled, it has sent
        nothing. TypeError: MessagePack cannot express the value. MessageTooLongError: the reader
        would not take it. LinkLost: the reader is gone.
        """
        data = bytearray()
        pack_into(data, value)
        if self._keep:
            self._cmd.core.check(len(data))
            self._put_by(data)
            self.drain()
            await rt.sleep_ms(0)
        while self._is_open():
            if self._keep:
                return
            if self._credit <= 0:
                await self._wait()
            elif self._is_far_ahead():
                await self._cmd.sent()  # the line is slower than we are
                self._ahead = 0
            else:
                self._post(data, 0)
                return
        raise LinkLost("nobody listens to this stream any more")

    def _is_far_ahead(self):
        """Whether enough of what is to be sent waits for the line."""
        n = len(self._cmd.core.out)
        return n and (n >= _QUEUED or self._ahead > self._cmd.window >> 2)

    def _put_by(self, data):
        """Keep a value; at most a window of bytes, since the peer has chosen `keep`."""
        self._kept.append(data)
        self._kept_bytes += len(data)
        while len(self._kept) > 1 and (
            len(self._kept) > self._keep or self._kept_bytes > self._cmd.window
        ):
            self._kept_bytes -= len(self._kept.pop(0))
            self._lost += 1

    async def _wait(self):
        if self._more is None:
            self._more = rt.Event()
        self._more.clear()
        await self._more.wait()

    def _post(self, data, dropped):
        msg = self._message(data, dropped)
        self._credit -= len(data) + 1  # one: empty values count, too
        self._ahead += len(data) + _MESSAGE
        self._cmd.post(msg)

    def drain(self) -> None:
        """Send what is kept, as far as the reader and the line allow."""
        cmd = self._cmd
        while self._kept and self._credit > 0 and self._is_open():
            if cmd.when_idle(self):
                return
            lost, data = self._lost, self._kept.pop(0)
            self._lost = 0
            self._kept_bytes -= len(data)
            try:
                self._post(data, lost)
            except MessageTooLongError as exc:  # the peer takes less than a moment ago
                self._refuse(exc)
        if self._more is not None:
            self._more.set()

    async def drained(self) -> None:
        """Wait until nothing is kept."""
        while self._kept and self._is_open():
            await self._wait()


class CallStream(Stream):
    """The caller's end: an async context manager.

    Leaving the context ends the command at the far end. At its end the iteration stops;
    `result` then holds what the command returned. An error of the command is raised.
    """

    order = 0
    ended: "Any" = None  # the options that came with the end
    _err: "Any" = None
    _data: "bytes | None" = None

    def __init__(
        self,
        cmd: "Any",
        path: "Any",
        args: "tuple[Any, ...]",
        kw: "dict[str, Any]",
        options: "Any" = None,
    ) -> None:
        super().__init__(cmd)
        self._start = (path, args, kw)
        self._options = options

    async def __aenter__(self) -> "CallStream":
        path, args, kw = self._start
        self._allowed = self._window()
        self._ident = self._cmd.start(self, path, args, kw, self._allowed, self._options)
        return self

    async def __aexit__(self, et: "Any", exc: "Any", tb: "Any") -> None:
        if not self._over:
            self._cmd.stop(self._ident, self)

    async def finish(self) -> None:
        """Tell the command that no more values follow. Those that were sent arrive."""
        if self._is_open():
            self._cmd.post(self._cmd.core.fed(self._ident))

    def end(self, data: "Any", err: "Any", options: "Any") -> None:
        """The command has ended; called by CmdMsg."""
        self._data = data
        self._err = err
        self.ended = options or {}
        self.over()

    item = Stream.put
    room = Stream.add

    @property
    def result(self) -> "Any":
        """What the command returned; None before its end."""
        return None if self._data is None else decode(self._data)

    def _error(self):
        if self._err is None:
            return None
        return error_from(self._err, self.ended, self._start[0])

    def _is_open(self):
        return self._cmd.core.mine(self._ident, self)

    def _window(self):
        # The latest value only: the others are replaced where they are sent, and do not wait here.
        latest = self._options and self._options.get(KEEP) == 1
        return 1 if latest else self._cmd.window

    def _message(self, data, dropped):
        return self._cmd.core.feed(self._ident, data, dropped)

    def _grant(self, n):
        if self._is_open():
            self._cmd.post(self._cmd.core.grant(self._ident, n))

    def _refuse(self, exc):
        self._cmd.stop(self._ident, self)
        self.end(None, to_wire(exc), None)


class ServedStream(Stream):
    """The command's end, `st` of ``stream_NAME(self, st, …)``."""

    _asked = False

    def __init__(self, cmd: "Any", served: "Any", credit: int) -> None:
        super().__init__(cmd)
        self._served = served
        self._credit = credit
        keep = served.options.get(KEEP, 0) if served.options else 0
        if keep > 0:
            self._keep = keep
            self._kept = []

    def _ask(self):
        if not self._asked:  # most commands read nothing, so the first credit is not given unasked
            self._asked = True
            self._allowed = self._cmd.window
            self._grant(self._allowed)

    def every(self, ms: int) -> "Ticks":
        """Return an async iterator that gives the number of each period of `ms` milliseconds.

        The first one comes at once. The clock of this side counts: what the body takes does not
        add up, and a period that has been missed is left out.
        """
        return Ticks(ms)

    def _is_open(self):
        served = self._served
        return served.ident > 0 and self._cmd.is_running(served)

    def _message(self, data, dropped):
        return self._cmd.core.item(self._served.ident, data, dropped)

    def _grant(self, n):
        if self._is_open() and not self._over:
            self._cmd.post(self._cmd.core.room(self._served.ident, n))

    def _refuse(self, exc):
        self._served.fail(exc)


class Ticks:
    """Gives way to a fixed rate, see ServedStream.every."""

    def __init__(self, ms: int) -> None:
        if ms <= 0:
            raise ValueError("a period takes at least 1 ms")
        self._ms = ms
        self._n = -1
        self._due = rt.ticks_ms()

    def __aiter__(self) -> "Ticks":
        return self

    async def __anext__(self) -> int:
        self._n += 1
        wait = rt.ticks_diff(self._due, rt.ticks_ms())
        if wait < 0:
            missed = -wait // self._ms
            self._n += missed
            self._due = rt.ticks_add(self._due, missed * self._ms)
        await rt.sleep_ms(max(0, wait))
        self._due = rt.ticks_add(self._due, self._ms)
        return self._n
