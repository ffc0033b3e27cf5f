"""SerialPackerBlkBuf: blocks of bytes with a checksum on a byte stream that may damage them."""

from moat.micro.const import const
from moat.micro.proto._serialpacker import START, Decoder, Format
from moat.micro.proto.framed import Framed

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any


class SerialPackerBlkBuf(Framed):
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
        ctrl_c: called when the byte 0x03 arrives outside of frames; may raise.
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
        ctrl_c: "Callable[[], object] | None" = None,
    ) -> None:
        self._form = form = Format(frame_start, max_packet, mark, crc)
        if form.mark:
            from moat.micro.proto._serialpacker_mark import MarkDecoder

            decoder = MarkDecoder(form, console)
        else:
            decoder = Decoder(form, console)
        super().__init__(parent, decoder, max_idle, chunk, form.console, ctrl_c)
        self.limit = self.send_limit = max_packet

    rcv = Framed._read

    def snd(self, buf: "Any") -> "Any":
        """Send one block.

        MessageTooLongError: it exceeds `max_packet`. ValueError: it is empty, which needs the
        CRC-32. Nothing was sent then.
        """
        return self._write(self._form.encode(buf))

    def cwr(self, buf: "Any") -> "Any":
        """See Base.cwr; without a mark, `buf` should not contain the start byte."""
        return super().cwr(self._form.text(buf))


SerialPackerBlock = SerialPackerBlkBuf
