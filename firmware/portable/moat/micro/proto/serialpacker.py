"""SerialPackerBlkBuf: blocks of bytes with a checksum on a byte stream that may damage them."""

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import NoConsoleError
from moat.micro.proto._serialpacker import START, Decoder, Format, MarkDecoder
from moat.micro.proto.framed import Framed
from moat.micro.proto.stack import StackedBlk

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class SerialPackerBlkBuf(StackedBlk):
    """Sends blocks of bytes as frames on the byte stream `parent`.

    What arrives outside of frames is console text: it can be read with `crd` while some task
    is in `rcv`, and `cwr` sends it, never into the middle of a frame. Several tasks may send.
    Damaged frames are dropped; their number is in `errors`.

    Both ends have to agree on `frame_start`, `max_packet`, `mark` and `crc`. With ``crc=16``
    the peer may be one that uses the package `serialpacker`.

    Args:
        parent: the byte stream below.
        frame_start: the byte before each frame; None to have none (then a frame that was
            damaged may cost those up to the next silence).
        max_packet: bytes of the longest block, at most 32,767.
        max_idle: milliseconds of silence inside of a frame after which it is given up.
        mark: a byte to be sent before each byte of a frame, so that a sender of console text
            need not know about frames; or None.
        crc: bits of the checksum, 32 or 16.
        chunk: bytes that are read at once.
        console: bytes of console text that are kept for `crd`; the oldest are dropped.
    """

    def __init__(
        self,
        parent: "Any",
        frame_start: "int | None" = START,
        max_packet: int = 127,
        max_idle: int = 100,
        mark: "int | None" = None,
        crc: int = 32,
        chunk: int = 256,
        console: int = 1024,
    ) -> None:
        super().__init__(parent)
        self._form = form = Format(frame_start, max_packet, mark, crc)
        self._decoder = (MarkDecoder if form.mark else Decoder)(form, console)
        self._framed = Framed(self._decoder, max_idle, chunk)

    @property
    def errors(self) -> int:
        """Frames that were given up since this object was made."""
        return self._decoder.errors

    @rt.asynccontextmanager
    async def _ctx(self):
        async with self.parent as self.s:
            self._framed.open(self.s)
            yield self

    def rcv(self) -> "Any":
        """Wait for the next block and return it.

        EOFError: the stream has ended. LinkReset: see proto.stack. InUseError: another
        task is in `rcv`.
        """
        return self._framed.next()

    def snd(self, buf: "Any") -> "Any":
        """Send one block.

        MessageTooLongError: it exceeds `max_packet`. ValueError: it is empty, which needs the
        CRC-32. Nothing was sent then.
        """
        return self._framed.write(self._form.encode(buf))

    def crd(self, buf: "Any") -> "Any":
        """See Base.crd. One task reads."""
        self._check_console()
        return self._framed.crd(buf)

    def cwr(self, buf: "Any") -> "Any":
        """See Base.cwr; without a mark, `buf` should not contain the start byte."""
        self._check_console()
        return self._framed.write(self._form.text(buf))

    def _check_console(self):
        if not self._form.console:
            raise NoConsoleError("without start byte and mark there are nothing but frames")


SerialPackerBlock = SerialPackerBlkBuf
