"""Cuts a byte stream into SerialPacker's frames and the console text between them.

A frame is a start byte (or none), the length of the data, the data, and a checksum, high byte
first. The length is one byte where `max_packet` is below 256; else lengths from 128 on take
two, the low seven bits with the top bit set, then the rest. Everything outside of frames is
console text; without a start byte there is no outside.

With a mark, each byte of a frame has this byte in front of it, and bytes without it are
console text, also in the middle of a frame. Between frames, a marked byte that begins none is
console text, too.

The format is that of the package `serialpacker`, whose CRC-16 covers the data and which takes
an empty frame for an error. Our CRC-32 is zlib's, over start byte, length and data.

A frame fails when its length is not allowed, its checksum is wrong, or it stops coming
(`expire`). Then reading starts again at the byte behind the one where it began: the length may
have been wrong, and good frames be among its data.

On a line that damages bytes a frame whose start is damaged looks like text, with a 3 in it
perhaps. So a Ctrl-C counts only if there is no other text than more of them and ends of lines,
back to the last silence. If it is the only byte, a silence has to follow, too. What remains is a
frame of three bytes whose start has become the end of a line.

Input can be made such that hundreds of its bytes seem to begin a long frame. To compute all
their checksums shall not take for ever: while failed ones have cost too much, what fails is
skipped as a whole. That takes input made for the purpose.

MicroPython takes a function's variables and its stack from the heap where these are more than
eleven together, which costs more than another call. Those that run for each frame have less.
"""

from binascii import crc32
from struct import pack_into, unpack_from

from moat.micro.const import const
from moat.micro.errors import MessageTooLongError
from moat.micro.proto._framed import BaseDecoder

START = 0xFA
LONGEST = 32767  # two bytes cannot express more
_SHORT = const(127)  # the longest length of one byte, where there may be two
_VAIN = const(256)  # bytes that may be checked in vain, per byte of the longest frame
_CREDIT = const(4)  # and so many more for each byte of input

# MicroPython finds a global of this module faster than a builtin.
_bytearray = bytearray
_len = len


class Format:
    """What both ends of a line have to agree on.

    Args:
        frame_start: the byte before each frame; None: there is none.
        max_packet: bytes of the longest frame's data; it decides how lengths are written.
        mark: the byte before each byte of a frame; None: there is none.
        crc: bits of the checksum: 32, or 16 for peers with the package `serialpacker`.

    Raises:
        ValueError: that cannot be.
    """

    def __init__(
        self,
        frame_start: "int | None" = START,
        max_packet: int = 127,
        mark: "int | None" = None,
        crc: int = 32,
    ) -> None:
        if not 0 < max_packet <= LONGEST:
            raise ValueError("max_packet is 1 to %d" % LONGEST)
        if crc not in (16, 32):
            raise ValueError("there is a CRC-16 and a CRC-32")
        self.start = b"" if frame_start is None else bytes((frame_start,))
        self.mark = b"" if mark is None else bytes((mark,))
        self.first = frame_start
        self.max_packet = max_packet
        self.one_byte = max_packet if max_packet < 256 else _SHORT  # up to this length
        self.two = max_packet > 255  # may a length have two bytes?
        self.least = 0
        self.crc16 = None
        if crc == 16:
            from moat.micro.proto._crc16 import crc16  # a table, and seldom needed

            self.crc16 = crc16
            self.least = 1
        self.head = len(self.start) + 1  # bytes before the data, if the length has one
        self.tail = crc // 8
        self.longest = self.head + 1 + max_packet + self.tail
        self.console = bool(self.start or self.mark)

    def encode(self, data: "bytes | bytearray | memoryview") -> "bytearray":
        """Return the frame with `data`.

        MessageTooLongError: these are more than `max_packet`. ValueError: with the CRC-16
        there are no empty frames.
        """
        size = _len(data)
        head = self.head
        if size > self.one_byte:
            if size > self.max_packet:
                raise MessageTooLongError("%d bytes, at most %d" % (size, self.max_packet))
            head += 1
        elif size < self.least:
            raise ValueError("an empty frame needs the CRC-32")
        frame = _bytearray(head + size + self.tail)
        frame[0] = self.first or 0
        if head == self.head:
            frame[head - 1] = size
        else:
            frame[head - 2] = size & 127 | 128
            frame[head - 1] = size >> 7
        size += head  # where the data end
        frame[head:size] = data
        if self.crc16 is None:
            crc = crc32(memoryview(frame)[:size])
            pack_into(">I", frame, size, crc)
        else:
            crc = self.crc16(data)
            frame[size] = crc >> 8
            frame[size + 1] = crc & 255
        return self._marked(frame) if self.mark else frame

    def _marked(self, data):
        mark = self.mark[0]
        out = bytearray(2 * len(data))
        i = 0
        for byte in data:
            out[i] = mark
            out[i + 1] = byte
            i += 2
        return out

    def text(self, data: "bytes | bytearray | memoryview") -> "bytes | bytearray | memoryview":
        """Return console text as it has to be sent.

        A start byte in it would begin a frame, where there is no mark. A mark in it is sent
        with another one before it; that does not work where the start is the same byte, or
        none.
        """
        mark = self.mark
        if not mark or self.start in (b"", mark):
            return data
        return bytes(data).replace(mark, mark + mark)


class Decoder(BaseDecoder):
    """Returns the data of frames; see BaseDecoder.

    Args:
        form: what the sender uses. With a mark in it, make a _serialpacker_mark.MarkDecoder.
        console: bytes of console text that are kept; the oldest are dropped.
    """

    def __init__(self, form: Format, console: int = 1024) -> None:
        self._form = form
        self._first = form.first
        super().__init__(console)

    def reset(self) -> None:
        """See BaseDecoder.reset."""
        super().reset()
        self._need = 1  # with less than so many bytes there is nothing to do
        self._keys = b""  # the last bytes of text that may be typed, see above
        self._vain = 0  # bytes checked in vain, less what later input has made up for
        self._since = 0  # up to where it has

    def unsettled(self) -> bool:
        """See BaseDecoder.unsettled."""
        return self.inside or self._failed or _len(self._keys) > 0

    def feed(self, chunk: "bytes | bytearray | memoryview") -> None:
        """Append what has arrived; then call `next` until it returns None."""
        at = self._at
        buf = self._buf
        if at:
            if self._vain:
                self._forgive(at)
                self._since = 0
            buf[0:at] = b""
            self._at = 0
            self._need -= at
        buf.extend(chunk)

    def next(self) -> "bytearray | None":
        """Return the data of the next frame; None: feed more."""
        n = _len(self._buf)
        while True:
            if n < self._need:
                if not (self._silent and self.inside):
                    break
                self._fail(1)
            elif self.inside or self._buf[self._at] == self._first or self._begin():
                data = self._take(n)
                if data is not None:
                    return data
        if self._silent:
            if self._keys == b"\x03":
                self.ctrl_c = True
            self._keys = b""
            self._silent = self._failed = False
        return None

    def _look_for_ctrl_c(self, new):
        other = _len(new.lstrip(b"\r\n\x03"))
        keys = self._keys + bytes(new[: _len(new) - other])
        if _len(keys) > 1 and b"\x03" in keys:
            self.ctrl_c = True
            keys = b""
        self._keys = keys[-1:]
        if other:
            self._failed = True
            self._keys = b""

    def _begin(self):
        """Go to the next start of a frame; what is before it is text. False: there is none."""
        if self._first is None:
            return True
        buf = self._buf
        at = buf.find(self._form.start, self._at)
        if at < 0:
            at = len(buf)
        self._add_text(buf[self._at : at])
        self._at = at
        self._need = at + 1
        return at < len(buf)

    def _take(self, n):
        """Return the data of the frame at `_at`, if it is complete and good.

        Else None: more than the `n` bytes in the buffer is needed, or it has failed.
        """
        form = self._form
        pos = self._at + form.head
        if pos <= n:
            size = self._buf[pos - 1]
            if size > _SHORT and form.two:
                pos += 1
                if pos > n:
                    return self._wait(pos)
                size = size & 127 | self._buf[pos - 1] << 7
            if not form.least <= size <= form.max_packet:
                return self._fail(1)
            size += pos  # where the data end
            if size + form.tail <= n:
                return self._check(pos, size)
            pos = size + form.tail
        return self._wait(pos)

    def _wait(self, need):
        self._need = need
        self.inside = True

    def _check(self, pos, end):
        """Return the data from `pos` to `end`, or None: the checksum is wrong."""
        buf = self._buf
        data = buf[pos:end]
        if self._form.crc16 is None:
            good = crc32(memoryview(buf)[self._at : end]) == unpack_from(">I", buf, end)[0]
            end += 4
        else:
            good = self._form.crc16(data) == buf[end] << 8 | buf[end + 1]
            end += 2
        if not good:
            return self._wrong(end - self._at)
        self._at = end
        self._need = end + 1
        self.inside = False
        return data

    def _wrong(self, size):
        """A checksum is wrong: fail, and skip the whole frame if there were too many."""
        self._forgive(self._at)
        self._vain += size
        self._fail(1 if self._vain <= self._form.longest * _VAIN else size)

    def _forgive(self, at):
        """Let the input up to here make up for what was done in vain."""
        self._vain = max(0, self._vain - (at - self._since) * _CREDIT)
        self._since = at

    def _fail(self, skip):
        self.errors += 1
        self._failed = True
        self._at += skip
        self._need = self._at + 1
        self.inside = False
