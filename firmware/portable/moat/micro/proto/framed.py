"""Messages and console text on one byte stream: what all codecs on a Buf have in common."""

import moat.micro.errors as errors
from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import InUseError, LinkError, LinkReset
from moat.micro.proto.base import Stacked

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

NOTHING = object()  # there is no message; None is one


class Framed(Stacked):
    """Drives a decoder with what arrives on `parent`; it has the gap timer that the decoder lacks.

    A subclass reads with `_read` and writes with `_write`. It has no @property: a class with one
    makes each store to an attribute ten times as slow on MicroPython.

    Args:
        parent: the byte stream below.
        decoder: cuts it into frames and console text.
        gap_ms: silence after which the decoder is told so, while it waits for more.
        chunk: bytes that are read at once.
        console: is there any console text?
        ctrl_c: called when the byte 0x03 arrives outside of frames; may raise.
    """

    def __init__(
        self,
        parent: "Any",
        decoder: "Any",
        gap_ms: int,
        chunk: int,
        console: bool,
        ctrl_c: "Callable[[], object] | None",
    ) -> None:
        super().__init__(parent)
        self.errors = 0  # messages that were given up since this object was made
        self._decoder = decoder
        self._gap_ms = gap_ms
        self._buf = memoryview(bytearray(chunk))
        self._console = console
        self._ctrl_c = ctrl_c

    def look_ahead(self) -> "Any":
        """Return a decoder in the state of ours, to examine input that was not read yet."""
        return self._decoder.fork()

    @rt.asynccontextmanager
    async def _ctx(self):
        async with self.parent as self.s:
            self._decoder.reset()
            self._reading = self._writing = self._ended = False
            self._fed = False  # the decoder may have something to say
            self._gap = rt.timeout_ms(self._gap_ms)
            # Events, made when somebody waits: console text, or the end; a write is done.
            self._text = self._written = None
            yield self

    async def _read(self) -> "Any":
        """Wait for the next message and return it.

        EOFError: the stream has ended. LinkReset: see proto.stack. InUseError: another
        task is waiting here. MemoryError: what has arrived so far is lost; read on.
        """
        if self._reading:
            raise InUseError("somebody reads messages already")
        self._reading = True
        try:
            while True:
                if not self._fed:
                    msg = self._take(await self.s.rd(self._buf))
                else:
                    msg = self._next()
                    if msg is NOTHING:
                        self._notice()
                        self._fed = self._decoder.unsettled()
                        if self._fed:
                            msg = await self._rest()
                if msg is not NOTHING:
                    return msg
        except (LinkReset, MemoryError):  # nobody knows what of it the decoder has
            self._decoder.reset()
            raise
        except (EOFError, LinkError):
            self._ended = True
            self._tell()
            raise
        finally:
            self._reading = False

    def more(self) -> "Any":
        """Return the next message if it has arrived already, or NOTHING; for who reads."""
        return self._next() if self._fed else NOTHING

    def _take(self, n):
        """Return the first message in the chunk of `n` bytes, or NOTHING."""
        self._fed = True
        self._decoder.feed(self._buf[:n])
        return self._next()

    def _next(self):
        """Return the next message that has arrived, or NOTHING."""
        decoder = self._decoder
        msg = NOTHING
        while msg is NOTHING:
            data = decoder.next()
            if data is None:
                break
            msg = self._decode(data)
            if msg is NOTHING:
                decoder.errors += 1
        self.errors = decoder.errors
        if decoder.text:
            self._tell()
        return msg

    @staticmethod
    def _decode(data):
        """Return the message that `data` are, or NOTHING: they are none."""
        return data

    def _tell(self):
        """Wake whoever waits for console text."""
        if self._text is not None:
            self._text.set()
            self._text = None

    def _notice(self):
        """Report a Ctrl-C. Not while there are messages: that may raise, and lose one."""
        if self._decoder.ctrl_c:
            self._decoder.ctrl_c = False
            if self._ctrl_c is not None:
                self._ctrl_c()

    async def _rest(self):
        """Read on: to the end of the frame, or until nothing comes for `gap_ms`."""
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
                        msg = self._next()
                        if msg is not NOTHING or not decoder.unsettled():
                            return msg
                        self._notice()
            except rt.TimeoutError:
                gap.ms = self._gap_ms - rt.ticks_diff(rt.ticks_ms(), last)
                if gap.ms <= 0:
                    if late:
                        break
                    # Maybe it was us who have been busy: then the data are there by now.
                    late = True
                    gap.ms = self._gap_ms // 4 + 1
        decoder.expire()
        return NOTHING

    async def crd(self, buf: "Any") -> int:
        """See Base.crd. One task reads."""
        self._check_console()
        text = self._decoder.text
        while not text:
            if self._ended:
                raise EOFError
            if self._text is None:
                self._text = rt.Event()
            await self._text.wait()
        n = min(len(text), len(buf))
        buf[:n] = text[:n]
        text[0:n] = b""
        return n

    def cwr(self, buf: "Any") -> "Any":
        """See Base.cwr; `buf` should not contain the byte that begins a frame."""
        self._check_console()
        return self._write(buf)

    def _check_console(self):
        if not self._console:
            raise errors.NoConsoleError(
                "without a byte that begins them there are nothing but messages"
            )

    async def _write(self, data):
        """Write `data`, a whole frame or text, after what others are writing."""
        while self._writing:
            if self._written is None:
                self._written = rt.Event()
            await self._written.wait()
        self._writing = True
        try:
            await self.s.wr(data)
        finally:
            self._writing = False
            if self._written is not None:
                self._written.set()
                self._written = None
