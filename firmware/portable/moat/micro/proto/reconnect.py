"""ReconnectBuf: a byte stream that opens the one below again when that breaks."""

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import InUseError, LinkLost, LinkReset
from moat.micro.proto._reconnect import Backoff
from moat.micro.proto.stack import StackedBuf

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

# What ends a link. A time-out is an OSError on the host only.
_BROKEN = (LinkLost, OSError, EOFError, rt.TimeoutError)

_CUT: "Any" = object()  # the link broke in the middle of a call


class ReconnectBuf(StackedBuf):
    """Keeps the byte stream `parent` open: when it breaks, leaves it and enters it again.

    Bytes may be lost then, none are sent again: use a ReliableMsg above, or end what is under
    way. Once the link is there again, the next `rd` raises LinkReset, one time, and goes on
    with the new link's data afterwards. A write that is cut raises LinkReset at once. One that
    begins while there is no link waits for it. After giving up, all raise LinkLost.

    Entering waits for the link. Its first error is raised unless `keep_trying`. How long an
    attempt may take is up to `parent`: a connect time-out is its business.

    The task that enters `parent` also leaves it: one of our own. It lives as long as our
    context does, and sleeps while all is well. A call that is cancelled stops waiting; the link
    is opened all the same.

    Args:
        parent: the byte stream below.
        keep_trying: go on when the first attempt fails, too.
        eof: the peer's orderly end is a break like others; else `rd` raises EOFError.
        on_state: called with (state, exception) after each change of `state`; must not raise.
        backoff: the arguments of Backoff: base_ms, factor, max_ms, jitter, retries, give_up_ms.
    """

    #: "opening"; "up"; "down", after a break or a failed attempt, with the error; "lost", after
    #: giving up, with the last error; "closed", before entering and after leaving.
    state = "closed"
    #: True while there is a link. No property: a class with one makes stores slow.
    connected = False

    def __init__(
        self,
        parent: "Any",
        keep_trying: bool = False,
        eof: bool = True,
        on_state: "Callable[[str, BaseException | None], object] | None" = None,
        **backoff: "Any",
    ) -> None:
        super().__init__(parent)
        self._keep_trying = keep_trying
        self._eof = eof
        self._on_state = on_state
        self._backoff = Backoff(**backoff)
        self.changed = rt.Event()  # wakes its waiters when `state` changes

    @rt.asynccontextmanager
    async def _ctx(self):
        self._backoff.reset()
        self.s = None
        self._cause: "Any" = None  # of the last break or failed attempt
        self._why: "Any" = None  # there is no link, and will be none
        self._leaving = self._reading = self._was_up = self._was_cut = False
        self._since = rt.ticks_ms()  # of being up, or down
        self._calls: "list[Any]" = []  # the scopes of calls that are in the layer below
        self._returned = rt.Event()  # one of them has ended
        self._break = rt.Event()  # the link is to be left
        self._done = rt.Event()  # the keeper has ended
        self._scope: "Any" = None  # of the keeper
        try:
            async with rt.TaskGroup() as tasks:
                tasks.start_soon(self._keep)
                try:
                    await self._opened()
                    yield self
                finally:
                    await self._close()
        finally:
            self._set("closed", None)

    async def _opened(self):
        while self.s is None:
            if self._why is not None:
                if self._backoff.tries:
                    raise LinkLost(self._why)
                raise self._cause
            await self.changed.wait()

    async def _close(self):
        self._leaving = True
        self._why = "the stream was closed on this side"
        try:
            # The layer below is left in peace, if we are not cancelled.
            if self.s is not None:
                self._down(None)
                await self._done.wait()
        finally:
            if self._scope is not None:
                self._scope.cancel()

    def _set(self, state, exc):
        self.state = state
        self.changed.set()
        self.changed.clear()
        if self._on_state is not None:
            self._on_state(state, exc)

    # ---- the keeper: the task in which the layer below is entered and left

    async def _keep(self):
        try:
            # A cancellation from outside is for the body first: while that takes its leave it
            # needs the link. `_close` passes it on.
            with rt.CancelScope(shield=True) as self._scope:
                while not self._leaving:
                    await self._link()
                    delay = self._delay()
                    if delay is None:
                        self._set("lost", self._cause)
                        break
                    await rt.sleep_ms(delay)
        finally:
            self._done.set()

    async def _link(self):
        """Open the link and wait until it has broken; `_cause` tells why."""
        self._cause = None
        self._set("opening", None)
        try:
            async with self.parent as s:
                self._up(s)
                try:
                    await self._break.wait()
                finally:  # a task of the layer below may have failed, and cancelled us
                    self._down(None)
                    with rt.CancelScope(shield=True):
                        await self._vacant()
        except _BROKEN as exc:
            if self._leaving:
                raise
            if self._cause is None:
                self._cause = exc
        if not self._leaving and self.state != "down":
            self._set("down", self._cause)

    def _up(self, s):
        self._since = rt.ticks_ms()
        self._was_up = self.connected = True
        self._break.clear()
        self.s = s
        self._set("up", None)

    def _down(self, exc):
        """Nobody shall use the link any more; `exc`: why, if that is known."""
        if self.s is None:
            return
        self.s = None
        self.connected = False
        self._cause = exc
        self._was_cut = True
        now = rt.ticks_ms()
        self._backoff.broke(rt.ticks_diff(now, self._since))
        self._since = now
        self._break.set()
        for scope in self._calls:
            scope.cancel()
        if exc is not None:
            self._set("down", exc)

    async def _vacant(self):
        """Wait until nobody is in the layer below."""
        while self._calls:
            self._returned.clear()
            await self._returned.wait()

    def _delay(self):
        """How long to wait before the next attempt; None: there will be none."""
        if self._leaving:
            return 0
        exc = self._cause
        delay = None
        if self._was_up or self._keep_trying:
            down_ms = rt.ticks_diff(rt.ticks_ms(), self._since)
            delay = self._backoff.next(rt.random_bits(), down_ms)
        if delay is None:
            self._why = "the link is down: %s: %s" % (type(exc).__name__, exc)
        return delay

    # ---- calls

    async def rd(self, buf: "Any") -> int:
        """See BaseBuf.rd. LinkReset: the link has been replaced; LinkLost: we have given up."""
        if self._reading:
            raise InUseError("somebody reads already")
        self._reading = True
        try:
            while True:
                s = self.s or await self._linked()
                if self._was_cut:
                    self._was_cut = False
                    raise LinkReset("the link was down")
                n = await self._call(s.rd, buf)
                if n is not _CUT:
                    return n
        finally:
            self._reading = False

    async def wr(self, buf: "Any") -> None:
        """See BaseBuf.wr. LinkReset: a part of `buf` may have been sent, or all, or nothing."""
        s = self.s or await self._linked()
        if await self._call(s.wr, buf) is _CUT:
            raise LinkReset("the link broke while this was written")

    async def crd(self, buf: "Any") -> int:
        """See Base.crd. Waits for a new link when this one breaks; `rd` is told."""
        while True:
            s = self.s or await self._linked()
            n = await self._call(s.crd, buf)
            if n is not _CUT:
                return n

    async def cwr(self, buf: "Any") -> None:
        """See Base.cwr, and `wr`."""
        s = self.s or await self._linked()
        if await self._call(s.cwr, buf) is _CUT:
            raise LinkReset("the link broke while this was written")

    async def flush(self) -> None:
        """Return at once: what a link that broke has delivered, nobody knows."""

    async def _linked(self):
        """Wait for a link."""
        while self.s is None:
            if self._why is not None:
                raise LinkLost(self._why)
            await self.changed.wait()
        return self.s

    async def _call(self, fn, buf):
        """Call the layer below; _CUT: the link has broken."""
        cause = None
        with rt.CancelScope() as scope:
            self._calls.append(scope)
            try:
                return await fn(buf)
            except _BROKEN as exc:
                if isinstance(exc, EOFError) and not self._eof:
                    raise
                cause = exc
            finally:
                self._calls.remove(scope)
                self._returned.set()
        self._down(cause)
        return _CUT
