"""CmdMsg: calls, replies, streams and cancellation, both ways over one message stream.

What a device may never need (calls of its own, streams, errors, options, relays) is imported when
it is used.
"""

from moat.micro import rt
from moat.micro.cmd import _wire as wire
from moat.micro.cmd._request import REFUSED, SESSION, Requests
from moat.micro.cmd.served import begin
from moat.micro.const import const
from moat.micro.errors import LinkError, LinkLost, LinkReset
from moat.micro.proto.base import Base
from moat.micro.proto.framed import NOTHING

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

    from moat.micro.cmd.tree import Dispatch

_CALLS = const(("call", "notify", "pass_on", "request", "start", "stop", "stream", "stream_with"))
_TOGETHER = const(16)  # messages
_LONG = const(48)
_STARVED_MS = const(50)  # somebody may free some memory meanwhile


def _nothing():
    return NOTHING


class CmdMsg(Base):
    """Calls commands of the peer, and serves it those of the tree `root`.

    While it is open, `call`, `notify`, `stream` and the other methods of cmd.calls may be used by
    any number of tasks. Either side may start first, and start again: then all calls in flight
    end with a LostCallError.

    Args:
        parent: the message stream below.
        root: the tree of commands (cmd.tree.Dispatch), or None to serve nothing.
        limit: bytes of the longest message that we accept, by default what `parent` accepts, or
            4096 if that does not say.
        max_served: calls of the peer that may run at the same time.
        window: bytes of a stream that may be on their way to us, or wait here to be read.
        on_session: called with True when a peer has introduced itself, with False when it left.
        path: where our tree has the peer's root: the way back to it.
        name: of this device, for traces.
        auth: an Auth of our own, if the peer has to prove a key; else AuthError ends the link.
    """

    def __init__(
        self,
        parent: "Any",
        root: "Dispatch | None" = None,
        limit: "int | None" = None,
        max_served: int = 16,
        window: int = 4096,
        on_session: "Callable[[bool], object] | None" = None,
        path: "list[Any] | tuple[Any, ...]" = (),
        name: str = "",
        auth: "Any" = None,
    ) -> None:
        self.parent = parent
        self.root = root
        self.window = window
        self.path = path
        self.name = name
        self._limit = limit or getattr(parent, "limit", None) or 4096
        self._max_served = max_served
        self._on_session = on_session
        self._auth = auth
        self.core: "Any" = None

    @rt.asynccontextmanager
    async def _ctx(self):
        send_limit = getattr(self.parent, "send_limit", None)
        self.core = Requests(rt.random_bits(), self._limit, self._max_served, send_limit)
        if self._auth is not None:
            self._auth.begin(self.core)
        self.error: "BaseException | None" = None  # why there is no session
        self._has_peer = False  # what on_session was told last
        self._ended = self.sending = False  # the link has; somebody does
        self._deadlines: "Any" = None
        self._hungry: "Any" = None  # streams that wait for the line to be idle
        self._changed = rt.Event()  # the session
        self._wake = rt.Event()  # something is in core.out
        self._sent: "Any" = None  # event: something has left core.out, or all has been sent
        async with self.parent as self.s:
            self._send_all = getattr(self.s, "send_all", None)
            try:
                async with rt.TaskGroup() as self.tasks:
                    self.tasks.start_soon(self._read)
                    self.tasks.start_soon(self._write)
                    self.post(self.core.hello())
                    try:
                        yield self
                    finally:
                        await self._leave()
                    self.tasks.cancel()
            finally:
                self._end(LinkLost("the link has been closed on this side"))

    async def _leave(self):
        bye = [wire.BYE] if self.core.open else self.core.bye
        if bye is not None:
            try:
                async with rt.grace_ms(200):
                    # Of a command that is cancelled only since we leave, the peer finds out so.
                    out = self.core.out
                    out[:] = [m for m in out if m[0] != wire.ERROR or m[2][0] != "CancelledError"]
                    await self.send(bye)
            except (LinkError, EOFError):
                pass  # there is nobody to take leave of

    async def ready(self) -> None:
        """Wait for a session with the peer.

        LinkLost: the link has ended. ProtocolError, AuthError: the peer speaks another version,
        or one side has not proved the key of the other one.
        """
        while not self.core.open:
            if self.error is not None:
                raise type(self.error)(*self.error.args)  # or it would collect tracebacks
            self._changed.clear()
            await self._changed.wait()

    async def closed(self) -> None:
        """Wait until the link has ended."""
        while not self._ended:
            self._changed.clear()
            await self._changed.wait()

    def broke(self) -> None:
        """End the session: a layer below has found the link broken, and will open it again.

        The reader may be told only then (LinkReset); until then calls are refused at once.
        """
        if not self._ended:
            self._session(self.core.lost())

    def __getattr__(self, name: str) -> "Any":
        """Load the methods of cmd.calls, when the first one is used."""
        if name not in _CALLS:
            raise AttributeError(name)
        from moat.micro.cmd.calls import Calls

        calls = Calls(self)
        for method in _CALLS:
            setattr(self, method, getattr(calls, method))
        return getattr(calls, name)

    # ---- sending

    # All messages go through core.out. Who may be cancelled only puts them there: half of the
    # protocol's promises rest on no message getting lost, or overtaking another one.

    def post(self, msg: "Any") -> None:
        """Send soon, without waiting; None sends nothing."""
        if msg is not None:
            self.core.out.append(msg)
            self._wake.set()

    def send(self, msg: "Any") -> "Any":
        """Await this: send now, and all that is before it; for tasks that nobody cancels."""
        self.core.out.append(msg)
        return self._flushed() if self.sending else self._flush()

    async def sent(self) -> None:
        """Wait until something has left."""
        if self._sent is None:
            self._sent = rt.Event()
        await self._sent.wait()

    def when_idle(self, stream: "Any") -> bool:
        """Call `stream.drain()` when the line is idle; False: it is, go on."""
        if not self.core.out:
            return False
        if self._hungry is None:
            self._hungry = []
        if stream not in self._hungry:
            self._hungry.append(stream)
        return True

    async def _flushed(self):
        while self.sending:
            await self.sent()

    async def _flush(self):
        out, was_long = self.core.out, False
        self.sending = True
        try:
            while out:
                msgs = out[:_TOGETHER]
                if len(out) > _LONG:
                    was_long = True
                del out[:_TOGETHER]
                self._tell()
                for msg in msgs:
                    if len(msg) > 5 and msg[0] == wire.CALL and wire.DEADLINE in msg[5]:
                        left = rt.ticks_diff(msg[5][wire.DEADLINE], rt.ticks_ms())
                        msg[5][wire.DEADLINE] = max(0, left)
                if len(msgs) > 1 and self._send_all is not None:
                    await self._send_all(msgs)
                else:
                    for msg in msgs:
                        await self.s.send(msg)
                if self._hungry and not out:
                    self._hungry.pop(0).drain()
            if was_long:
                out.clear()  # it is empty; on MicroPython this alone gives its memory back
        finally:
            self.sending = False
            self._tell()

    def _tell(self):
        """Wake who waits in `sent`."""
        if self._sent is not None:
            self._sent.set()
            self._sent = None

    async def _write(self):
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if not self.sending:
                    await self._flush()
            except LinkReset:
                pass  # the reader sees the same, and says hello
            except MemoryError:
                await self.anew()
            except (LinkError, EOFError):
                return  # the reader sees the same, and says so

    # ---- receiving

    async def _read(self):
        core = self.core
        more = getattr(self.s, "more", _nothing)
        try:
            while True:
                try:
                    msg = await self.s.recv()
                    while msg is not NOTHING:
                        event = core.receive(msg)
                        if event is not None:
                            self._event(event)
                        msg = more()
                except (LinkReset, MemoryError):
                    await self.anew()
                if core.out:
                    self._wake.set()
        except EOFError:
            self._end(LinkLost("the peer has closed the link"))
        except LinkError as exc:
            self._end(exc)

    async def anew(self) -> None:
        """Begin another session: messages were lost, on the line or for want of memory."""
        while not self._ended:
            try:
                self._session(self.core.lost())
                self.post(self.core.hello())
                break
            except MemoryError:
                await rt.sleep_ms(_STARVED_MS)

    def _event(self, event):
        kind, what = event[0], event[1]
        if kind == wire.CALL:
            self._start(what, event[2])
        elif kind == wire.REPLY:
            what.end(event[2], None, event[3])
        elif kind == wire.FEED:
            if what.stream is not None:
                what.stream.put(event[2], event[3])
        elif kind == wire.ITEM:
            what.item(event[2], event[3])
        elif kind == wire.ERROR:
            what.end(None, event[2], event[3])
        elif kind == wire.ROOM:
            what.room(event[2])
        elif kind == wire.CANCEL:
            what.cancel()
        else:
            self._rare_event(kind, what, event)

    def _rare_event(self, kind, what, event):
        if kind == SESSION:
            self._session(event)
        elif kind == REFUSED:
            # Whoever waits for the session is told; a peer that fits may still come.
            self.error = event[3]
            self._session(event)
        elif what.stream is not None:
            if kind == wire.CREDIT:
                what.stream.add(event[2])
            else:
                what.stream.over()

    def _end(self, exc):
        if not self._ended:
            self._ended = True
            self.error = exc
            self._session(self.core.lost(True, str(exc)))

    def _session(self, event):
        """The session has begun, ended, or begun anew; `event`: what has ended with it."""
        for call, err in event[1]:
            call.end(None, err, None)
        for served in event[2]:
            served.lost()
        # A peer may send anything once it has our answer to its hello: tell it before that.
        has_peer = self.core.peer is not None
        if has_peer:
            self.error = None
        self._changed.set()
        self._tell()  # or will never be
        if has_peer != self._has_peer and self._on_session is not None:
            self._on_session(has_peer)
        self._has_peer = has_peer

    # ---- serving

    def _start(self, ident, msg):
        try:
            begin(self, ident, msg)
        except Exception as exc:  # the tree's, so perhaps of an app: to the caller
            from moat.micro.cmd._errors import to_wire

            self.post(self.core.error(ident, to_wire(exc)))

    def watch(self, served: "Any", ms: int) -> None:
        """Call `served.expire()` after so many milliseconds, if it still runs."""
        served.due = rt.ticks_add(rt.ticks_ms(), max(0, ms))
        if self._deadlines is None:
            from moat.micro.cmd.deadlines import Deadlines

            self._deadlines = Deadlines(self.core)
            self.tasks.start_soon(self._deadlines.run)
        self._deadlines.more(served.due)

    def is_running(self, served: "Any") -> bool:
        """Whether this call of the peer has not ended."""
        return self.core.served.get(served.ident) is served
