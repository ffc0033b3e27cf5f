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
from moat.micro.proto._options import OVERHEAD, Options
from moat.micro.proto._past import DELIVERED, NEVER_SENT
from moat.micro.proto._reliable import Reliable
from moat.micro.proto.base import StackedMsg

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


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
    below refuses (it is too long, or cannot be encoded) cannot be delivered, nor what follows
    it: that ends the session.

    Args:
        parent: the message stream below; what it damages has to be dropped there.
        options: see _options.Options: window, queue, keepalive_ms, silence_ms, down_ms,
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
            self._waiting = []  # something for each task that waits for room, the first one first
            self._wake = rt.Event()  # the writer has something to do
            self._sooner = rt.Event()  # so has the clock, earlier than it thought
            self._alarm = 0  # when it wakes up
            async with rt.TaskGroup() as tasks:
                tasks.start_soon(self._read)
                tasks.start_soon(self._write)
                tasks.start_soon(self._clock)
                try:
                    yield self
                finally:
                    await self._leave()
                tasks.cancel()

    async def _leave(self):
        self._core.close(self._now())
        self._tell()
        self._after(self._time)
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
        if not core.ready():
            self._reading = True
            try:
                while not core.ready():
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

        Those that wait get their turn in the order in which they came.

        Args:
            msg: the message.
            channel: of a value that gets out of date: the message replaces an older one of the
                same channel that was not sent yet.

        Raises:
            LinkReset: once, when a session has ended, and to everybody who waits then; the
                message was not sent.
            LinkLost: the link has ended; the message was not sent.
        """
        session = self._noticed
        waiting = self._waiting
        if not self._accept(msg, channel, session, not waiting):
            turn = object()
            waiting.append(turn)
            try:
                while not self._accept(msg, channel, session, waiting[0] is turn):
                    self._changed.clear()
                    await self._changed.wait()
            finally:
                waiting.remove(turn)
                self._changed.set()  # the next one may find room

    def _accept(self, msg, channel, session, turn):
        """Accept the message if there is room; `turn`: nobody waits for it longer than we do."""
        core = self._core
        if core.sessions != session:
            self._noticed = core.sessions
            raise _failed(LinkReset("the session has ended"), NEVER_SENT)
        if core.ended is not None or core.closing:
            raise _failed(core.ended or LinkLost("this end is closing"), NEVER_SENT)
        if not turn:
            return False
        sender = core.sender
        if channel is not None and sender.replace(msg, channel) is not None:
            return True
        if sender.full():
            return False
        sender.put(msg, channel)
        if sender.pending():
            self._wake.set()
        elif sender.blocked():
            self._after(self._now())
        return True

    async def flush(self) -> None:
        """Wait until all messages that were accepted have been delivered.

        LinkReset, LinkLost: the session has ended before; `fate` says what became of the last
        message.
        """
        core = self._core
        session = core.sessions
        if session != self._noticed:
            fate = core.past.fate(core.past.last())
            if fate != DELIVERED:
                self._noticed = session
                raise _failed(LinkReset("the session has ended"), fate)
        number = core.sender.end - 1
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
        core = self._core
        if core.news:
            core.news = False
            self._changed.set()
        if core.ready():
            self._arrived.set()

    def _after(self, now):
        """The core has changed: wake the tasks that have to do something about it."""
        core = self._core
        ended = core.ended is not None
        if ended or core.pending(now):
            self._wake.set()  # the writer comes here when it has sent all
            if not ended:
                return
        if ended or core.deadline(now) < self._alarm:
            self._sooner.set()

    async def _read(self):
        core = self._core
        lost = None
        while lost is None:
            try:
                frame = await self.s.recv()
            except (LinkReset, MemoryError):
                core.link_reset(self._now())
            except EOFError:
                lost = LinkLost("the link has ended, without a farewell of the peer")
            except LinkError as exc:
                lost = exc
            else:
                core.receive(frame, self._now())
            if lost is not None:
                core.link_lost(lost)
            self._tell()
            self._after(self._time)

    async def _write(self):
        core = self._core
        try:
            while True:
                self._wake.clear()
                now = self._now()
                frame = core.next(now)
                if frame is not None:
                    await self._send(frame)
                    continue
                if core.ended is None:
                    self._after(now)
                else:
                    self._finished = True
                    self._changed.set()
                await self._wake.wait()
        finally:
            self._finished = True
            self._changed.set()

    async def _send(self, frame):
        core = self._core
        try:
            await self.s.send(frame)
        except (LinkReset, MemoryError):
            core.link_reset(self._now())
        except (LinkError, EOFError) as exc:
            if isinstance(exc, EOFError):
                exc = LinkLost("the link has ended")
            core.link_lost(exc)
        except (MessageTooLongError, TypeError, ValueError, OverflowError) as exc:
            core.refused(exc, self._now())
        core.taken(self._now())
        if core.news:
            self._tell()

    async def _clock(self):
        """Watch the time, also while the writer waits for the link."""
        core = self._core
        timer = rt.timeout_ms(0)
        while True:
            now = self._now()
            core.tick(now)
            self._tell()
            if core.ended is not None:
                break
            if core.pending(now):
                at = now + self._options.keepalive_ms  # the writer will know better
                self._wake.set()
            else:
                at = core.deadline(now)
            self._alarm = at
            self._sooner.clear()
            timer.ms = at - now
            try:
                async with timer:  # one for many deadlines: most of them move on before they come
                    await self._sooner.wait()
            except rt.TimeoutError:
                pass
        self._wake.set()
