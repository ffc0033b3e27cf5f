"""Objects as MessagePack: over a byte stream, beside console text, or one in each block."""

from msgpack import packb, unpackb

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import (
    InUseError,
    LinkError,
    LinkReset,
    MessageTooLongError,
    NoConsoleError,
)
from moat.micro.proto._msgpack import PREFIX, Decoder
from moat.micro.proto.stack import StackedMsg

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any


_BAD = object()


def _decode(span):
    """Return the message, or _BAD: bad text, a key that cannot be one, too deep, not just one."""
    try:
        return unpackb(span, strict_map_key=False)
    except (ValueError, TypeError):
        return _BAD


class MsgpackMsgBuf(StackedMsg):
    """Translates structured messages to MessagePack on the byte stream `parent`.

    What is no message is console text: it can be read with `crd` while some task is in `recv`,
    and `cwr` sends it, never into the middle of a message. Several tasks may send.

    What is not MessagePack, or exceeds `limit`, is skipped and counted in `errors`.

    Args:
        parent: the byte stream below.
        limit: bytes of the longest message that is accepted.
        prefix: the byte in front of each message, None to have none (and no console).
        gap_ms: silence inside of a message after which it is given up.
        chunk: bytes that are read at once.
        console: bytes of console text that are kept for `crd`; the oldest are dropped.
        ctrl_c: called when the byte 0x03 arrives outside of messages; may raise.
    """

    def __init__(
        self,
        parent: "Any",
        limit: int = 4096,
        prefix: "int | None" = PREFIX,
        gap_ms: int = 100,
        chunk: int = 256,
        console: int = 1024,
        ctrl_c: "Callable[[], object] | None" = None,
    ) -> None:
        super().__init__(parent)
        # On a fast line a chunk is one message, as a rule: then it need not be scanned. `_whole`
        # is the byte that such a chunk starts with; None while messages come in pieces.
        self._whole = self._first = prefix if chunk <= limit else None
        self._prefix = b"" if prefix is None else bytes((prefix,))
        self._gap_ms = gap_ms
        self._chunk = chunk
        self._ctrl_c = ctrl_c
        self._decoder = Decoder(limit, prefix, console)
        self._undecodable = 0

    @property
    def errors(self) -> int:
        """Messages that were skipped since this object was made."""
        return self._decoder.errors + self._undecodable

    @property
    def inside(self) -> bool:
        """True while what arrives may belong to a message, or to the rest of a broken one."""
        return self._decoder.unsettled

    def look_ahead(self) -> Decoder:
        """Return a Decoder in the state of ours, to examine input that was not read yet."""
        return self._decoder.fork()

    @rt.asynccontextmanager
    async def _ctx(self):
        async with self.parent as self.s:
            self._decoder.reset()
            self._buf = memoryview(bytearray(self._chunk))
            self._reading = self._writing = self._ended = False
            self._text = rt.Event()  # console text has come, or the end
            self._gap = rt.timeout_ms(self._gap_ms)
            self._written = rt.Event()  # whoever was writing is done
            yield self

    async def recv(self) -> "Any":
        """Wait for the next message and return it.

        EOFError: the stream has ended. LinkReset: see proto.stack. InUseError: another
        task is in `recv`.
        """
        if self._reading:
            raise InUseError("somebody reads messages already")
        self._reading = True
        decoder = self._decoder
        buf = self._buf
        try:
            while True:
                span = decoder.next()
                if span is None:
                    self._console()
                    if decoder.unsettled:
                        span = await self._rest()
                    else:
                        n = await self.s.rd(buf)
                        if buf[0] == self._whole:
                            msg = _decode(buf[1:n])
                            if msg is not _BAD:
                                return msg
                        span = self._take(n)
                if span is not None:
                    msg = _decode(span)
                    if msg is not _BAD:
                        return msg
                    self._undecodable += 1
        except (EOFError, LinkError) as exc:
            self._broke(exc)
            raise
        finally:
            self._reading = False

    def _broke(self, exc):
        if isinstance(exc, LinkReset):
            self._decoder.reset()
        else:
            self._ended = True
            self._text.set()

    def _take(self, n):
        """Scan the chunk of `n` bytes for a message."""
        self._decoder.feed(self._buf[:n])
        span = self._decoder.next()
        self._whole = None if span is None else self._first
        return span

    def _console(self):
        """Tell whoever waits for console text that there is some."""
        if not self._decoder.text:
            return
        self._text.set()
        if self._decoder.ctrl_c:
            self._decoder.ctrl_c = False
            if self._ctrl_c is not None:
                self._ctrl_c()

    async def _rest(self):
        """Read on inside of a message: to its end, or until nothing comes for `gap_ms`."""
        decoder = self._decoder
        gap = self._gap
        gap.ms = self._gap_ms
        last = rt.ticks_ms()
        late = False
        while True:
            try:
                async with gap:  # one timer for all of it: on a slow line bytes come one by one
                    while True:
                        n = await self.s.rd(self._buf)
                        last = rt.ticks_ms()
                        late = False
                        decoder.feed(self._buf[:n])
                        span = decoder.next()
                        if span is not None or not decoder.inside:
                            return span
            except rt.TimeoutError:
                gap.ms = self._gap_ms - rt.ticks_diff(rt.ticks_ms(), last)
                if gap.ms <= 0:
                    if late:
                        break
                    # Maybe it was us who have been busy: then the data are there by now.
                    late = True
                    gap.ms = self._gap_ms // 4 + 1
        decoder.expire()
        return None

    def send(self, msg: "Any") -> "Any":
        """Send one object. TypeError: MessagePack cannot express it, nothing was sent."""
        return self._write(self._prefix + packb(msg))

    async def crd(self, buf: "Any") -> int:
        """See Base.crd. One task reads."""
        self._check_console()
        text = self._decoder.text
        while not text:
            if self._ended:
                raise EOFError
            self._text.clear()
            await self._text.wait()
        n = min(len(text), len(buf))
        buf[:n] = text[:n]
        text[0:n] = b""
        return n

    def cwr(self, buf: "Any") -> "Any":
        """See Base.cwr; `buf` should not contain the prefix byte."""
        self._check_console()
        return self._write(buf)

    def _check_console(self):
        if not self._prefix:
            raise NoConsoleError("without a prefix there is nothing but messages")

    async def _write(self, data):
        while self._writing:
            self._written.clear()
            await self._written.wait()
        self._writing = True
        try:
            await self.s.wr(data)
        finally:
            self._writing = False
            self._written.set()


class MsgpackMsgBlk(StackedMsg):
    """Translates structured messages to MessagePack, one in each block of `parent`.

    Console data are the parent's business. A block that is not exactly one message, or exceeds
    `limit`, is skipped and counted in `errors`.

    Args:
        parent: the block stream below.
        limit: bytes of the longest message, both ways.
    """

    def __init__(self, parent: "Any", limit: int = 4096) -> None:
        super().__init__(parent)
        self.errors = 0  # blocks that were skipped since this object was made
        self._limit = limit

    async def recv(self) -> "Any":
        """Wait for the next message and return it. Errors are those of the parent's `rcv`."""
        while True:
            data = await self.s.rcv()
            if len(data) <= self._limit:
                msg = _decode(data)
                if msg is not _BAD:
                    return msg
            self.errors += 1

    def send(self, msg: "Any") -> "Any":
        """Send one object.

        TypeError: MessagePack cannot express it; MessageTooLongError: it exceeds `limit`, or what
        the parent takes. Nothing was sent then.
        """
        data = packb(msg)
        if len(data) > self._limit:
            raise MessageTooLongError("%d bytes, at most %d" % (len(data), self._limit))
        return self.s.snd(data)
