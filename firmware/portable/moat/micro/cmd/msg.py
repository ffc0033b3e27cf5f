"""CmdMsg: calls, replies, streams and cancellation, both ways over one message stream.

What a device may never need (streams, errors) is imported when it is used.
"""

from msgpack import packb

from moat.micro import rt
from moat.micro.cmd._request import REFUSED, SESSION, Requests
from moat.micro.cmd._wire import BYE, CALL, CANCEL, CREDIT, ERROR, ITEM, REPLY
from moat.micro.const import const
from moat.micro.errors import (
    ArgumentError,
    LinkError,
    LinkLost,
    LinkReset,
    NotFoundError,
)
from moat.micro.proto.base import Base

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

    from moat.micro.cmd.stream import Stream
    from moat.micro.cmd.tree import Dispatch


def _copy(exc):
    """A copy to be raised: what is raised again and again collects all of its tracebacks."""
    return type(exc)(*exc.args)


class _Call:
    """A call of ours that waits for its reply."""

    def __init__(self):
        self.done = rt.Event()
        self.data: "Any" = None
        self.error: "BaseException | None" = None

    def end(self, data, error):
        self.data = data
        self.error = error
        self.done.set()

    def put(self, data):
        pass  # a value, but this is no stream


class _Served:
    """A call of the peer that is running."""

    credit: "Any" = None  # of a stream
    more: "Any" = None  # event: credit has come
    task: "Any" = None

    def __init__(self, ident, credit):
        self.ident = ident
        if credit is not None:
            self.credit = credit

    def add(self, credit):
        if self.credit is not None:
            self.credit += credit
            if self.more is not None:
                self.more.set()

    async def wait(self):
        if self.more is None:
            self.more = rt.Event()
        self.more.clear()
        await self.more.wait()


class CmdMsg(Base):
    """Calls commands of the peer, and serves it those of the tree `root`.

    While it is open, `call` and `stream` may be used by any number of tasks. Either side may
    start first, and start again: then all calls in flight end with LinkReset.

    Args:
        parent: the message stream below.
        root: the tree of commands (cmd.tree.Dispatch), or None to serve nothing.
        limit: bytes of the longest message that we accept, by default what `parent` accepts, or
            4096 if that does not say.
        max_served: calls of the peer that may run at the same time.
        window: bytes of a stream that may be on their way to us, or wait here to be read.
        on_session: called with True when a peer has introduced itself, with False when it left.
    """

    def __init__(
        self,
        parent: "Any",
        root: "Dispatch | None" = None,
        limit: "int | None" = None,
        max_served: int = 16,
        window: int = 4096,
        on_session: "Callable[[bool], object] | None" = None,
    ) -> None:
        self.parent = parent
        self.root = root
        self.window = window
        self._limit = limit or getattr(parent, "limit", None) or 4096
        self._max_served = max_served
        self._on_session = on_session

    @rt.asynccontextmanager
    async def _ctx(self):
        send_limit = getattr(self.parent, "send_limit", None)
        self._core = Requests(rt.random_bits(), self._limit, self._max_served, send_limit)
        self._error: "BaseException | None" = None  # why there is no session
        self._ended = False
        self._has_peer = False  # what on_session was told last
        self._sending = False
        self._changed = rt.Event()  # the session
        self._wake = rt.Event()  # something is in core.out
        self._sent = rt.Event()  # something has left core.out, or all has been sent
        async with self.parent as self.s:
            try:
                async with rt.TaskGroup() as self._tasks:
                    self._tasks.start_soon(self._read)
                    self._tasks.start_soon(self._write)
                    self._post(self._core.hello())
                    try:
                        yield self
                    finally:
                        await self._leave()
                    self._tasks.cancel()
            finally:
                self._end(LinkLost("the link has been closed on this side"))

    async def _leave(self):
        if self._core.open:
            try:
                async with rt.grace_ms(200):
                    await self._send([BYE])
            except (LinkError, EOFError):
                pass  # there is nobody to take leave of

    async def ready(self) -> None:
        """Wait for a session with the peer.

        Raises:
            ProtocolError: the peer speaks another version.
            LinkLost: the link has ended.
        """
        while not self._core.open:
            if self._error is not None:
                raise _copy(self._error)
            self._changed.clear()
            await self._changed.wait()

    async def closed(self) -> None:
        """Wait until the link has ended."""
        while not self._ended:
            self._changed.clear()
            await self._changed.wait()

    # ---- for callers

    async def call(self, path: "Any", *args: "Any", **kw: "Any") -> "Any":
        """Run a command of the peer and return its result; `path` as for Dispatch.find.

        Cancelling this cancels the command. Raises what the command raised if its type is
        known here, else RemoteError; NotFoundError, ArgumentError, BusyError: it was not run;
        LinkLost, LinkReset: nobody knows.
        """
        call = _Call()
        ident = self.start(call, path, args, kw, None)
        try:
            await call.done.wait()
        finally:
            self.stop(ident, call)
        if call.error is not None:
            raise call.error
        if call.data is None:
            return None
        from moat.micro.cmd._span import decode

        return decode(call.data)

    def stream(self, path: "Any", *args: "Any", **kw: "Any") -> "Stream":
        """Run a streaming command of the peer; returns a Stream to be used as context."""
        from moat.micro.cmd.stream import Stream

        return Stream(self, path, args, kw)

    def start(
        self,
        call: "Any",
        path: "Any",
        args: "tuple[Any, ...]",
        kw: "dict[str, Any]",
        credit: "int | None",
    ) -> int:
        """Begin a call; `call.end(data, error)` will be called. Returns its id."""
        if self._error is not None:
            raise _copy(self._error)
        data = b""
        if args or kw:
            from moat.micro.cmd._span import pack_args

            data = pack_args(args, kw)
        ident, msg = self._core.call(call, path, data, credit)
        self._post(msg)
        return ident

    def stop(self, ident: int, call: "Any") -> None:
        """Cancel a call of ours unless it has ended."""
        self._post(self._core.cancel(ident, call))

    def grant(self, ident: int, call: "Any", n: int) -> None:
        """Allow `n` more bytes of a stream."""
        self._post(self._core.grant(ident, call, n))

    # ---- sending

    # All messages go through core.out. Who may be cancelled only puts them there: half of the
    # protocol's promises rest on no message getting lost, or overtaking another one.

    def _post(self, msg):
        """Send soon, without waiting."""
        if msg is not None:
            self._core.out.append(msg)
            self._wake.set()

    def _send(self, msg):
        """Send now, and all that is before it; for tasks that nobody cancels."""
        self._core.out.append(msg)
        return self._flushed() if self._sending else self._flush()

    async def _flushed(self):
        while self._sending:
            self._sent.clear()
            await self._sent.wait()

    async def _flush(self):
        out = self._core.out
        self._sending = True
        try:
            while out:
                msg = out.pop(0)
                self._sent.set()
                await self.s.send(msg)
        finally:
            self._sending = False
            self._sent.set()

    async def _write(self):
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if not self._sending:
                    await self._flush()
            except LinkReset:
                pass  # the reader sees the same, and says hello
            except (LinkError, EOFError):
                return  # the reader sees the same, and says so

    # ---- receiving

    async def _read(self):
        core = self._core
        try:
            while True:
                try:
                    msg = await self.s.recv()
                except LinkReset:
                    self._event(core.lost())
                    core.out.append(core.hello())
                else:
                    event = core.receive(msg)
                    if event is not None:
                        self._event(event)
                if core.out:
                    self._wake.set()
        except EOFError:
            self._end(LinkLost("the peer has closed the link"))
        except LinkError as exc:
            self._end(exc)

    def _end(self, exc):
        if not self._ended:
            self._ended = True
            self._error = exc
            self._session(self._core.lost())

    def _event(self, event):
        kind = event[0]
        if kind == CALL:
            self._start(event[1], event[2], event[3], event[4])
        elif kind == REPLY:
            event[1].end(event[2], None)
        elif kind == ERROR:
            from moat.micro.cmd._span import from_wire

            event[1].end(None, from_wire(event[2]))
        elif kind == ITEM:
            event[1].put(event[2])
        elif kind == CANCEL:
            served = event[1]
            served.task.cancel()
            self._post(self._core.error(served.ident, ["CancelledError"]))
        elif kind == CREDIT:
            event[1].add(event[2])
        elif kind == SESSION:
            self._session(event)
        elif kind == REFUSED:
            # Whoever waits for the session is told; a peer that fits may still come.
            self._error = event[3]
            self._session(event)

    def _session(self, event):
        """The session has begun, ended, or begun anew; `event`: what has ended with it."""
        why = self._error or LinkReset("the peer has left or started anew")
        for call in event[1].values():
            if call is not None:
                call.end(None, _copy(why))
        for served in event[2].values():
            if served is not None:
                served.task.cancel()
        # A peer may send anything once it has our answer to its hello: tell it before that.
        has_peer = self._core.peer is not None
        if has_peer:
            self._error = None
        self._changed.set()
        self._sent.set()  # or will never be
        if has_peer != self._has_peer and self._on_session is not None:
            self._on_session(has_peer)
        self._has_peer = has_peer

    # ---- serving

    def _start(self, ident, path, data, credit):
        served = _Served(ident, credit)
        self._core.served[ident] = served
        served.task = self._tasks.start_soon(self._serve, served, path, data)

    async def _serve(self, served, path, data):
        msg = None
        try:
            result = await self._run(served, path, data)
            data = b"" if result is None else packb(result)
            if self._is_running(served):
                msg = self._core.reply(served.ident, data)
        except Exception as exc:  # the root of a task: any error goes to the caller
            from moat.micro.cmd._span import to_wire

            if self._is_running(served):
                msg = self._core.error(served.ident, to_wire(exc))
        finally:
            if self._is_running(served):  # cancelled, but not by the caller
                err = ["CancelledError", "the command was cancelled"]
                self._post(self._core.error(served.ident, err))
        if msg is not None:
            try:
                await self._send(msg)
            except (LinkError, EOFError):
                pass  # the reader sees the same, and ends the session

    def _is_running(self, served):
        return self._core.served.get(served.ident) is served

    def _run(self, served, path, data):
        if self.root is None:
            raise NotFoundError("there are no commands here")
        streaming = served.credit is not None
        command = self.root.find(path, streaming)
        try:
            if not data and not streaming:
                return command()  # the most frequent one; the other way costs 200 bytes
            from moat.micro.cmd._span import unpack_args

            args, kw = unpack_args(data)
            if streaming:
                from moat.micro.cmd.stream import Sender

                args.insert(0, Sender(self, served))
            return command(*args, **kw)
        except TypeError as exc:
            # A coroutine function runs nothing yet, so these are the arguments.
            raise ArgumentError(str(exc))

    async def item(self, served: "Any", data: bytes) -> None:
        """Send one encoded value of a stream, for Sender; cancelled, it sends nothing."""
        while self._is_running(served):
            if served.credit <= 0:
                await served.wait()
            elif self._core.out:  # the line is slower than the command
                self._sent.clear()
                await self._sent.wait()
            else:
                msg = self._core.item(served.ident, data)
                served.credit -= len(data) + 1  # one: empty values count, too
                self._post(msg)
                return
        raise LinkLost("nobody listens to this stream any more")
