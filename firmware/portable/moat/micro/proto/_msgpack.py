"""Cuts a byte stream into MessagePack messages and the console text between them.

A message is a prefix byte and one MessagePack object. The default prefix, 0xC1, is the one
byte that MessagePack never uses as a type and UTF-8 never contains; inside a message it is
data like any other. Everything outside of messages is console text.

Where a message starts and the peer dies, or the line damages it, the rest of the stream must
not be lost: when the bytes are no MessagePack, announce more than `limit` bytes, or stop
coming (`expire`), reading starts again at the byte behind the failed prefix.

Input can be made such that hundreds of its bytes seem to begin a message, up to its end.
Looking for a good one shall not take for ever: when the failed ones have cost too much, all is
dropped up to the next silence. Random bytes are far from that.
"""

from moat.micro.proto._framed import BaseDecoder

PREFIX = 0xC1
_VAIN = 2  # objects stepped over in vain, per byte of `limit`

# For the types 0xC0 to 0xDF: bytes of the type, its length field and whatever has a fixed
# size; then how many of these are the length field. 0 is not a type.
_HEAD = b"\1\0\1\1\2\3\5\3\4\6\5\x09\2\3\5\x09\2\3\5\x09\3\4\6\x0a\x12\2\3\5\3\5\3\5"
_SIZE = b"\0\0\0\0\1\2\4\1\2\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\2\4\2\4\2\4"


class Decoder(BaseDecoder):
    """Returns messages; see BaseDecoder.

    Args:
        limit: bytes of the longest message, without its prefix.
        prefix: the byte before a message; None: there is none, and no console either.
        console: bytes of console text that are kept; the oldest are dropped.
    """

    def __init__(self, limit: int, prefix: "int | None" = PREFIX, console: int = 1024) -> None:
        self._limit = limit
        self._prefix = b"" if prefix is None else bytes((prefix,))
        super().__init__(console)

    def reset(self) -> None:
        """See BaseDecoder.reset."""
        super().reset()
        # While inside, `_at` is behind the prefix.
        self._pos = 0  # while inside: where the next object starts, maybe beyond the data
        self._todo = 0  # while inside: objects to step over
        self._vain = 0  # objects stepped over since the last message or silence
        self._deaf = False  # too many; until the next silence

    def feed(self, chunk: "bytes | bytearray | memoryview") -> None:
        """Append what has arrived; then call `next` until it returns None."""
        at = self._at
        buf = self._buf
        if at:
            buf[0:at] = b""
            self._at = 0
            self._pos -= at
        buf.extend(chunk)

    def next(self) -> "bytearray | None":
        """Return the next message without its prefix; None: feed more."""
        while self.inside or self._begin():
            if not self._scan():
                self._fail()
            elif self._todo or self._pos > len(self._buf):
                if not self._silent:
                    return None
                self._fail()
            else:
                at = self._at
                self._at = self._pos
                self.inside = False
                self._vain = 0
                return self._buf[at : self._pos]
        if self._silent:
            self._silent = self._failed = self._deaf = False
            self._vain = 0
        return None

    def _begin(self):
        buf = self._buf
        at = self._at
        if self._deaf:
            self._at = at = len(buf)
        if at >= len(buf):
            return False
        if self._prefix:
            at = buf.find(self._prefix, at)
            if at < 0:
                at = len(buf)
            if at > self._at:
                self._add_text(buf[self._at : at])
                self._at = at
            if at == len(buf):
                return False
            at += 1
        self._at = self._pos = at
        self._todo = 1
        self.inside = True
        return True

    def _scan(self):
        """Step over the objects that are there; False: this is no message."""
        buf = self._buf
        end = len(buf)
        pos = self._pos
        todo = self._todo
        done = 0
        while done < todo and pos < end:
            c = buf[pos]
            if c < 0x80 or c >= 0xE0:
                pos += 1
            elif c < 0xA0:
                pos += 1
                todo += c & 15 if c >= 0x90 else 2 * (c & 15)
            elif c < 0xC0:
                pos += 1 + (c & 31)
            else:
                head = _HEAD[c - 0xC0]
                size = _SIZE[c - 0xC0]
                if head == 0:
                    self._vain += done
                    return False
                if pos + size >= end:  # the length field has not arrived
                    break
                n = buf[pos + 1] if size else 0
                for i in range(pos + 2, pos + 1 + size):
                    n = n << 8 | buf[i]
                pos += head
                if c < 0xDC:
                    pos += n
                else:
                    todo += n if c < 0xDE else 2 * n
            done += 1
        self._pos = pos
        self._todo = todo = todo - done
        self._vain += done
        # Each object that is missing has at least one byte.
        return pos + todo - self._at <= self._limit

    def _fail(self):
        self.errors += 1
        self._failed = True
        self.inside = False
        if self._vain > self._limit * _VAIN:
            self._deaf = True
        if not self._prefix:
            self._at += 1
