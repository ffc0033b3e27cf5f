"""Reading frames and console text out of one byte stream, and writing both into it."""

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import InUseError, LinkError, LinkReset

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class Framed:
    """Drives a decoder with what arrives; it has the gap timer that the decoder lacks.

    The decoder has feed, next, expire, reset, unsettled and text, as proto/_serialpacker.py.

    Args:
        decoder: cuts the byte stream.
        gap_ms: silence after which the decoder is told so, while it waits for more.
        chunk: bytes that are read at once.
    """

    def __init__(self, decoder: "Any", gap_ms: int, chunk: int) -> None:
        self._decoder = decoder
        self._gap_ms = gap_ms
        self._chunk = chunk

    def open(self, s: "Any") -> None:
        """Start afresh on the byte stream `s`."""
        self.s = s
        self._decoder.reset()
        self._buf = memoryview(bytearray(self._chunk))
        self._reading = self._writing = self._ended = False
        self._text = rt.Event()  # console text has come, or the end
        self._gap = rt.timeout_ms(self._gap_ms)
        self._written = rt.Event()  # whoever was writing is done

    async def next(self) -> "Any":
        """Wait for the next frame and return what it carries.

        EOFError: the stream has ended. LinkReset: see proto.stack. InUseError: another
        task is waiting here.
        """
        if self._reading:
            raise InUseError("somebody reads messages already")
        self._reading = True
        decoder = self._decoder
        try:
            while True:
                data = decoder.next()
                if data is None and decoder.unsettled():
                    self._tell()
                    data = await self._rest()
                self._tell()
                if data is not None:
                    return data
                if not decoder.unsettled():
                    n = await self.s.rd(self._buf)
                    decoder.feed(self._buf[:n])
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

    def _tell(self):
        """Tell whoever waits for console text that there is some."""
        if self._decoder.text:
            self._text.set()

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
                        data = decoder.next()
                        if data is not None or not decoder.unsettled():
                            return data
                        self._tell()
            except rt.TimeoutError:
                gap.ms = self._gap_ms - rt.ticks_diff(rt.ticks_ms(), last)
                if gap.ms <= 0:
                    if late:
                        break
                    # Maybe it was us who have been busy: then the data are there by now.
                    late = True
                    gap.ms = self._gap_ms // 4 + 1
        decoder.expire()
        return decoder.next()

    async def crd(self, buf: "Any") -> int:
        """See Base.crd. One task reads."""
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

    async def write(self, data: "Any") -> None:
        """Write `data`, a whole frame or text, after what others are writing."""
        while self._writing:
            self._written.clear()
            await self._written.wait()
        self._writing = True
        try:
            await self.s.wr(data)
        finally:
            self._writing = False
            self._written.set()
