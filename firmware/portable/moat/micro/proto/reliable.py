"""ReliableMsg: messages arrive exactly once and in order, whatever the link below does."""

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import (
    InUseError,
    LinkError,
    LinkLost,
    LinkReset,
    MessageTooLongError,
)
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import DELIVERED, ENDED, NEVER_SENT, Reliable
from moat.micro.proto.stack import StackedMsg

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# Bytes that a message gets longer, as MessagePack, at most.
OVERHEAD = 36


def _failed(why, fate):
    """An error for who sends: why, and what has become of the message."""
    if isinstance(why, EOFError):
        exc = LinkLost("the peer has closed the session")
    else:
        exc = type(why)(*why.args)
    exc.fate = fate
    return exc


class ReliableMsg(StackedMsg):
    """Sends the messages on `parent` again until they have arrived, and sorts them.

    The peer has to be a ReliableMsg, too. It may start first, later, or anew: whoever is in
    `recv` then gets LinkReset once, and what was not delivered is lost. A link below that was
    replaced (ReconnectBuf) loses nothing.

    A message belongs to this layer until it is delivered: do not change it. One that the layer
    below refuses (it is too long, or cannot be encoded) ends the session.

    Args:
        parent: the message stream below; what it damages has to be dropped there.
        options: see _reliable.Options: window, queue, keepalive_ms, silence_ms, down_ms,
            linger_ms, persistent.
    """

    def __init__(self, parent: "Any", **options: "Any") -> None:
        super().__init__(parent)
        if self.limit is not None:
            self.limit -= OVERHEAD
        if self.send_limit is not None:
            self.send_limit -= OVERHEAD
        self._options = Options(**options)

    @rt.asynccontextmanager
    async def _ctx(self):
        async with self.parent as self.s:
            self._time = 0
            self._ticks = rt.ticks_ms()
            self._core = Reliable(self._options, rt.random_bits, 0)
            self._noticed = 0  # sessions whose end the senders know of
            self._reading = False
            self._finished = False
            self._arrived = rt.Event()
            self._changed = rt.Event()  # there is room, or something was delivered or has ended
            self._wake = rt.Event()  # the writer has something to do
            self._timer = rt.timeout_ms(0)
            async with rt.TaskGroup() as tasks:
                tasks.start_soon(self._read)
                tasks.start_soon(self._write)
                try:
                    yield self
                finally:
                    await self._leave()
                tasks.cancel()

    async def _leave(self):
        self._core.close(self._now())
        self._wake.set()
        async with rt.grace_ms(self._options.linger_ms + 200):
            while not self._finished:
                self._changed.clear()
                await self._changed.wait()
            frame = self._core.farewell()  # when the writer was cancelled, too
            if frame is not None:
                await self._send(frame)

    def _now(self):
        """Milliseconds since this was entered; unlike ticks they do not wrap."""
        ticks = rt.ticks_ms()
        self._time += rt.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._time

    # ---- for the user

    async def recv(self) -> "Any":
        """Wait for the next message and return it.

        EOFError: the peer has closed the session. LinkReset: once, when a session has ended and
        this end waits for the next one. LinkLost, ProtocolError: the link has ended. InUseError:
        another task is in `recv`.
        """
        if self._reading:
            raise InUseError("somebody reads messages already")
        core = self._core
        self._reading = True
        try:
            while not core.ready:
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self._reading = False
        now = self._now()
        try:
            msg = core.take(now)
        except LinkReset:
            self._noticed = core.sessions
            raise
        due = core.receiver.due
        if due is not None and due <= now:
            self._wake.set()
        return msg

    async def send(self, msg: "Any", channel: "Any" = None) -> None:
        """Accept a message; waits while the queue is full. Cancelled, it was not accepted.

        Args:
            msg: the message.
            channel: of a value that gets out of date: the message replaces an older one of the
                same channel that was not sent yet.

        Raises:
            LinkReset: once, when a session has ended; the message was not sent.
            LinkLost: the link has ended; the message was not sent.
        """
        core = self._core
        while True:
            if core.sessions != self._noticed:
                self._noticed = core.sessions
                raise _failed(LinkReset("the session has ended"), NEVER_SENT)
            if core.ended is not None or core.closing:
                why = core.ended or LinkLost("this end is closing")
                raise _failed(why, NEVER_SENT)
            if channel is not None and core.sender.replace(msg, channel) is not None:
                return
            if not core.sender.full:
                core.sender.put(msg, channel)
                self._wake.set()
                return
            self._changed.clear()
            await self._changed.wait()

    async def flush(self) -> None:
        """Wait until all messages that were accepted have been delivered.

        LinkReset, LinkLost: the session has ended before; `fate` says what became of the last
        message.
        """
        core = self._core
        session, number = core.sessions, core.sender.end - 1
        while True:
            fate = core.fate(session, number)
            if fate == DELIVERED:
                return
            if fate is not None:
                raise _failed(core.ended or LinkReset("the session has ended"), fate)
            self._changed.clear()
            await self._changed.wait()

    # ---- tasks

    def _tell(self):
        """Something has arrived, or the time has come: wake whom it may concern."""
        if self._core.ready:
            self._arrived.set()
        self._changed.set()

    async def _read(self):
        core = self._core
        while True:
            try:
                frame = await self.s.recv()
            except LinkReset:
                core.link_reset(self._now())
            except EOFError:
                core.link_lost(LinkLost("the link has ended, without a farewell of the peer"))
            except LinkError as exc:
                core.link_lost(exc)
            else:
                core.receive(frame, self._now())
            self._tell()
            self._wake.set()
            if core.state == ENDED:
                return

    async def _write(self):
        core = self._core
        try:
            while True:
                now = self._now()
                core.tick(now)
                frame = core.next(now)
                if frame is not None:
                    await self._send(frame)
                elif core.state == ENDED:
                    break
                else:
                    self._tell()
                    await self._pause(core.deadline, now)
        finally:
            self._finished = True
            self._tell()

    async def _send(self, frame):
        try:
            await self.s.send(frame)
        except LinkReset:
            self._core.link_reset(self._now())
        except (LinkError, EOFError) as exc:
            if isinstance(exc, EOFError):
                exc = LinkLost("the link has ended")
            self._core.link_lost(exc)
        except (MessageTooLongError, TypeError, ValueError, OverflowError) as exc:
            self._core.refused(exc, self._now())
        self._core.taken(self._now())

    async def _pause(self, until, now):
        wake = self._wake
        if until is None or until > now:
            if until is None:
                await wake.wait()
            else:
                self._timer.ms = until - now
                try:
                    async with self._timer:
                        await wake.wait()
                except rt.TimeoutError:
                    pass
        wake.clear()
