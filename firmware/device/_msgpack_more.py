"""What few programs need of MessagePack; its names are found in msgpack, see there."""

from struct import pack as _pack
from struct import unpack as _unpack
from struct import unpack_from as _unpack_from

import msgpack
from msgpack import _FORMATS, _KINDS, _SIZES, ExtType, packb, unpackb

UnpackException = ValueError


class FormatError(ValueError):
    """No MessagePack."""


class StackError(ValueError):
    """Nested too deep."""


class OutOfData(UnpackException):
    """There is no complete object yet."""


class BufferFull(UnpackException):
    """More than max_buffer_size bytes would be waiting."""


# Names that PyPI keeps for old programs.
UnpackValueError = PackValueError = ValueError
PackException = Exception
PackOverflowError = OverflowError


def pack(o, stream, **options):
    """Encode `o` and write it to `stream`; see Packer."""
    stream.write(packb(o, **options))


def unpack(stream, **options):
    """Decode all that `stream` has to give, which is one object; see unpackb."""
    return unpackb(stream.read(), **options)


dump, dumps, load, loads = pack, packb, unpack, unpackb


class Timestamp:
    """A time since 1970, UTC: `seconds` may be negative, `nanoseconds` are added to them."""

    def __init__(self, seconds, nanoseconds=0):
        if not isinstance(seconds, int) or not isinstance(nanoseconds, int):
            raise TypeError("seconds and nanoseconds must be integers")
        if not 0 <= nanoseconds < 1000000000:
            raise ValueError("nanoseconds must be within 0..999999999")
        self.seconds = seconds
        self.nanoseconds = nanoseconds

    def __repr__(self):
        return "Timestamp(seconds=%d, nanoseconds=%d)" % (self.seconds, self.nanoseconds)

    def __eq__(self, other):
        return (
            type(other) is Timestamp
            and self.seconds == other.seconds
            and self.nanoseconds == other.nanoseconds
        )

    def __hash__(self):
        return hash((self.seconds, self.nanoseconds))

    @staticmethod
    def from_bytes(b):
        """Decode the 4, 8 or 12 bytes of the extension -1. ValueError: they are none."""
        if len(b) == 4:
            return Timestamp(_unpack(">I", b)[0])
        if len(b) == 8:
            n = _unpack(">Q", b)[0]
            return Timestamp(n & 0x3FFFFFFFF, n >> 34)
        if len(b) == 12:
            nanoseconds, seconds = _unpack(">Iq", b)
            return Timestamp(seconds, nanoseconds)
        raise ValueError("a timestamp has 4, 8 or 12 bytes")

    def to_bytes(self):
        """Encode it as the shortest of the three forms. OverflowError: beyond 64 bits."""
        seconds, nanoseconds = self.seconds, self.nanoseconds
        if not -0x8000000000000000 <= seconds <= 0x7FFFFFFFFFFFFFFF:
            raise OverflowError("seconds out of range")
        if seconds >> 34:
            return _pack(">Iq", nanoseconds, seconds)
        if nanoseconds or seconds >> 32:
            return _pack(">Q", nanoseconds << 34 | seconds)
        return _pack(">I", seconds)

    @staticmethod
    def from_unix(unix_sec):
        """Make one from seconds, an int or a float."""
        return Timestamp(int(unix_sec // 1), int(unix_sec % 1 * 10**9))

    def to_unix(self):
        """Return seconds, as a float: of little use where floats have 32 bits."""
        return self.seconds + self.nanoseconds / 1e9

    @staticmethod
    def from_unix_nano(unix_ns):
        """Make one from nanoseconds, an int."""
        return Timestamp(*divmod(unix_ns, 1000000000))

    def to_unix_nano(self):
        """Return nanoseconds, an int."""
        return self.seconds * 1000000000 + self.nanoseconds


_KINDS[Timestamp] = 9


class Packer:
    """Encodes one object after the other. With autoreset=False they collect in a buffer."""

    def __init__(self, *, default=None, use_single_float=False, autoreset=True):
        self._default = default
        self._single = use_single_float
        self._autoreset = autoreset
        self._buf = bytearray()

    def pack(self, obj):
        """Encode `obj`; returns bytes, None without autoreset. Errors: see packb."""
        return self._put(packb(obj, self._default, self._single))

    def pack_array_header(self, n):
        """Begin an array; its `n` items follow."""
        return self._head(n, 0x90, 0xDB)

    def pack_map_header(self, n):
        """Begin a map; its `n` keys and values follow in turn."""
        return self._head(n, 0x80, 0xDD)

    def pack_ext_type(self, typecode, data):
        """Encode an extension."""
        return self._put(packb(ExtType(typecode, data)))

    def bytes(self):
        """Return what has collected."""
        return bytes(self._buf)

    def getbuffer(self):
        """Return a view of what has collected; release it before the next call."""
        return memoryview(self._buf)

    def reset(self):
        """Empty the buffer."""
        self._buf = bytearray()

    def _head(self, n, short, long):
        if not 0 <= n <= 0xFFFFFFFF:
            raise ValueError("size out of range")
        buf = bytearray()
        if n < 16:
            buf.append(short | n)
        else:
            msgpack._put_head(buf, long, n)
        return self._put(bytes(buf))

    def _put(self, data):
        if self._autoreset:
            return data
        self._buf += data
        return None


class Unpacker:
    """Decodes a stream of objects: feed it, or give it a `file_like` with a `read(n)`.

    Memory is bounded: at most `max_buffer_size` bytes wait, and an object is built when all of
    it is there. An object that turns out not to be one (bad text, nested too deep) is skipped;
    after FormatError there is no way to know where the next one starts.
    """

    def __init__(
        self, file_like=None, *, read_size=256, max_buffer_size=65536, ext_hook=ExtType,
        object_hook=None, raw=False, strict_map_key=True
    ):  # fmt: skip
        self._file = file_like
        self._size = read_size
        self._max = max_buffer_size or 0xFFFFFFFF
        self._options = (ext_hook, object_hook, raw, strict_map_key)
        self._buf = bytearray()
        self._start = 0  # where the next object starts in the buffer
        self._base = 0  # bytes of the stream before the buffer
        self._rewind()

    def feed(self, data):
        """Add bytes. BufferFull: nothing was added."""
        buf = self._buf
        start = self._start
        if len(buf) - start + len(data) > self._max:
            raise BufferFull("max_buffer_size is %d" % self._max)
        if start:
            buf[:start] = b""
            self._base += start
            self._pos -= start
            self._start = 0
        buf.extend(data)

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.unpack()
        except OutOfData:
            raise StopIteration

    def unpack(self):
        """Return the next object. OutOfData: it is not complete, FormatError: not MessagePack."""
        return unpackb(self._take(self._end()), *self._options)

    def skip(self):
        """Step over the next object, without building it. Errors: see unpack."""
        self._take(self._end(), False)

    def tell(self):
        """Return the number of bytes of the stream that have been used."""
        return self._base + self._start

    def read_bytes(self, n):
        """Return the next `n` bytes, or as many as there are."""
        while len(self._buf) - self._start < n and self._read():
            pass
        return self._take(min(self._start + n, len(self._buf)))

    def read_array_header(self):
        """Step into an array; return how many items follow. ValueError: something else."""
        return self._header(0x90, 0xDC, "array")

    def read_map_header(self):
        """Step into a map; return how many pairs follow. ValueError: something else."""
        return self._header(0x80, 0xDE, "map") // 2

    def _take(self, end, wanted=True):
        res = bytes(memoryview(self._buf)[self._start : end]) if wanted else None
        self._start = end
        self._rewind()
        return res

    def _rewind(self):
        self._pos = self._start  # how far the next object has been looked at
        self._todo = 1  # objects that are missing in it from there on

    def _read(self):
        data = self._file and self._file.read(self._size)
        if data:
            self.feed(data)
        return data

    def _end(self):
        """Return where the next object ends, once all of it is there."""
        while self._todo:
            end, items = self._step(self._pos)
            if end and end <= len(self._buf):
                self._pos = end
                self._todo += items - 1
            elif not self._read():
                raise OutOfData("no complete object")
        return self._pos

    def _step(self, pos):
        """Return where the type at `pos` and its data end (0: too early), and its items."""
        buf = self._buf
        if pos >= len(buf):
            return 0, 0
        c = buf[pos]
        if c > 0xC3 and c < 0xE0:
            return self._long_step(c, pos + 1)
        if c == 0xC1:
            raise FormatError("Unknown header: 0xc1")
        if c < 0x80 or c > 0xBF:
            return pos + 1, 0
        if c > 0x9F:
            return pos + 1 + (c & 31), 0
        return pos + 1, c & 15 if c > 0x8F else 2 * (c & 15)

    def _long_step(self, c, pos):
        n = c - 0xC4
        end = pos + _SIZES[n]
        if c > 0xC9 and c < 0xD9:  # numbers, and extensions of fixed length
            return end + (1 << c - 0xD4 if c > 0xD3 else 0), 0
        if end > len(self._buf):
            return 0, 0
        n = _unpack_from(_FORMATS[n], self._buf, pos)[0]
        if n > self._max:
            raise ValueError("%d exceeds max_buffer_size(%d)" % (n, self._max))
        if c > 0xDB:
            return end, n if c < 0xDE else 2 * n
        return end + n + (1 if c > 0xC6 and c < 0xCA else 0), 0

    def _header(self, short, long, what):
        self._rewind()
        end, items = self._step(self._pos)
        while not end and self._read():
            end, items = self._step(self._pos)
        if not end:
            raise OutOfData("no complete header")
        c = self._buf[self._pos]
        if c & 0xF0 != short and c & 0xFE != long:
            raise ValueError("Expected " + what)
        self._take(end, False)
        return items
