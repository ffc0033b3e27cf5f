"""MessagePack with the API of PyPI's msgpack, as far as it fits on a microcontroller.

Portable code writes ``import msgpack`` and gets this module on MicroPython. It has PyPI's
names and results; an option that is not here raises TypeError. What differs:

* Nesting is limited to 32 levels, both ways; nothing depends on the depth of the C stack.
* Floats have the precision of the board: a received float64 is rounded to the nearest.
* Options can be given by position, too: keyword-only ones take 70 instructions each.
* UnpackException is ValueError, so OutOfData and BufferFull are ValueErrors, too: MicroPython
  has no multiple inheritance of exceptions.
* ExtType checks its arguments when it is packed, not when it is made.
* MicroPython takes overlong UTF-8 and surrogates in a str for valid.
* `pack_into` is ours: MicroPython copies, and hashes, whatever becomes bytes.
* A key of a map that cannot be a key of a dict is a ValueError, not a TypeError.

In here is what every message needs. The rest (Packer, Unpacker, Timestamp, pack, unpack and the
like) is in _msgpack_more, which is imported when one of its names is used for the first time.

Most of a message's cost is bytecodes and calls. So there is one loop with a stack of its own
each way, and no call for a value of a usual type. Figures in comments are instructions on a
Cortex-M3, where a message of five small values takes about 20,000 to decode.
"""

from collections import namedtuple
from struct import pack as _pack
from struct import unpack_from as _unpack_from

# A global of this module is found in 70, a builtin in 270.
_bytes = bytes
_len = len
_str = str
_type = type

ExtType = namedtuple("ExtType", ("code", "data"))

# What can be packed, the usual types first: packb compares in this order.
_KINDS = {
    int: 0,
    str: 1,
    bytes: 2,
    bytearray: 2,
    list: 3,
    tuple: 3,
    dict: 4,
    type(None): 5,
    bool: 5,
    float: 6,
    memoryview: 7,
    ExtType: 8,  # _msgpack_more adds Timestamp: 9
}
_CONSTANTS = (None, None, False, True)

# What follows the type bytes from 0xC4 on: a number, a length, or (0xD4 to 0xD8, of fixed
# length) the code of an extension.
_SIZES = b"\1\2\4\1\2\4\4\10\1\2\4\10\1\2\4\10\1\1\1\1\1\1\2\4\2\4\2\4"
_FORMATS = (
    ">B", ">H", ">I", ">B", ">H", ">I", ">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q",
    ">b", ">b", ">b", ">b", ">b", ">B", ">H", ">I", ">H", ">I", ">H", ">I",
)  # fmt: skip


class ExtraData(ValueError):
    """Bytes follow the object: `unpacked` is the object, `extra` the bytes."""

    def __init__(self, unpacked, extra):
        super().__init__("unpack(b) received extra data.")
        self.unpacked = unpacked
        self.extra = extra


def __getattr__(name):
    import _msgpack_more

    return getattr(_msgpack_more, name)


def packb(o, default=None, use_single_float=False):
    """Encode `o`; returns bytes. `default` turns what cannot be encoded into what can.

    TypeError: no way to encode it. OverflowError: beyond 64 bits. ValueError: nested too deep.
    """
    buf = bytearray()
    pack_into(buf, o, default, use_single_float)
    return _bytes(buf)


def pack_into(buf, o, default=None, use_single_float=False):  # noqa: C901 -- see the head
    """Append what `packb` returns to the bytearray `buf`; PyPI's API has nothing like it."""
    kinds, stack = _KINDS, []
    items = (o,)
    while True:
        for x in items:
            try:
                kind = kinds[_type(x)]
            except KeyError:
                x, kind = _resolve(x, default)
            if not kind:
                if x < 128 and x >= -32:  # half the time of a chained comparison
                    buf.append(x & 255)
                elif x < 0 or x > 0xFFFF:
                    _put_int(buf, x)
                elif x < 256:
                    buf.append(0xCC)
                    buf.append(x)
                else:
                    buf.append(0xCD)
                    buf.append(x >> 8)
                    buf.append(x & 255)
            elif kind == 1:
                x = x.encode()
                n = _len(x)
                if n < 32:
                    buf.append(0xA0 | n)
                else:
                    _put_head(buf, 0xD9, n)
                buf += x
            elif kind == 2:
                n = _len(x)
                if n < 256:
                    buf.append(0xC4)
                    buf.append(n)
                else:
                    _put_head(buf, 0xC4, n)
                buf += x
            elif kind < 5:
                if _len(stack) > 31:
                    raise ValueError("nested too deep")
                stack.append(items)
                n = _len(x)
                if n < 16:
                    buf.append(0x90 | n if kind == 3 else 0x80 | n)
                else:
                    _put_head(buf, 0xDB if kind == 3 else 0xDD, n)
                items = iter(x) if kind == 3 else _flat(x)
                break
            elif kind == 5:
                buf.append(0xC0 if x is None else 0xC3 if x else 0xC2)
            else:
                _put_rare(buf, kind, x, use_single_float)
        else:
            if _len(stack) < 2:
                return
            items = stack.pop()


def unpackb(packed, ext_hook=ExtType, object_hook=None, raw=False, strict_map_key=True):  # noqa: C901
    """Decode the one object in the bytes-like `packed`. ValueError: ExtraData or no object."""
    if _type(packed) is not _bytes:
        packed = memoryview(packed)  # its slices are no copies
    i, left, end = 0, 1, _len(packed)
    # `left` items are missing in `out`. `key` waits for its value: for a list it is that list,
    # where a key is to come it is `stack`; neither is ever the key of a dict.
    out = key = stack = []
    while i < end:
        c = packed[i]
        i += 1
        if c < 0x80:
            v = c
        elif c < 0xA0 or (c > 0xDB and c < 0xE0):
            n = c & 15
            if c > 0xA0:
                i, n = _long(packed, i, end, c, raw, ext_hook)
            v = {} if c < 0x90 or c > 0xDD else []
            if n:
                if out is not stack:
                    _push(stack, out, key, left)
                out, key, left = v, stack if c < 0x90 or c > 0xDD else v, n
                continue
            if object_hook and (c < 0x90 or c > 0xDD):
                v = object_hook(v)
        elif c < 0xC0 or (c < 0xC6 and c > 0xC3 and i + 1 < end):
            n = c & 31
            if c > 0xBF:
                n = packed[i] if c == 0xC4 else packed[i] << 8 | packed[i + 1]
                i += 1 + (c & 1)
            n += i
            if n > end:
                break
            v = _bytes(packed[i:n]) if raw or c > 0xBF else _str(packed[i:n], "utf-8")
            i = n
        elif c > 0xDF or (c < 0xC4 and c != 0xC1):
            v = c - 256 if c > 0xDF else _CONSTANTS[c & 3]
        else:
            i, v = _long(packed, i, end, c, raw, ext_hook)
        while True:
            if key is out:
                out.append(v)
            elif key is not stack:
                out[key] = v
                key = stack
            else:
                if _type(v) is not _str:
                    _check_key(v, strict_map_key)
                key = v
                break
            left -= 1
            if left:
                break
            if out is not stack:
                v = object_hook(out) if object_hook and key is stack else out
            if not stack or out is stack:
                return v if i == end else _extra(v, packed[i:])
            left, key, out = stack.pop(), stack.pop(), stack.pop()
    raise ValueError("incomplete input")


def _flat(dct):
    for key in dct:
        yield key
        yield dct[key]


def _resolve(x, default):
    """Return `x` or what takes its place, and its kind; subclasses are encoded as their base."""
    if isinstance(x, ExtType):  # a tuple as well
        return x, 8
    for base, kind in _KINDS.items():
        if isinstance(x, base):
            # MicroPython's struct does not take an instance of a subclass of float.
            return (x if kind else int(x)) if kind != 6 else x * 1.0, kind
    if default is None:
        raise TypeError("can not serialize '%s' object" % type(x).__name__)
    return _resolve(default(x), None)


def _put_head(buf, c, n):
    """Write a length; `c` is the type for 8 bits, which lists and dicts do not have."""
    if n < 0x100 and c < 0xDB:
        buf += _pack(">BB", c, n)
    elif n < 0x10000:
        buf += _pack(">BH", c + 1, n)
    else:
        buf += _pack(">BI", c + 2, n)


def _put_int(buf, x):
    if x >= 0:
        c = 0xCE if x < 0x100000000 else 0xCF
    else:
        c = 0xD0 if x >= -0x80 else 0xD1 if x >= -0x8000 else 0xD2 if x >= -0x80000000 else 0xD3
    # MicroPython's struct cuts off what does not fit.
    if x < -0x8000000000000000 or x > 0xFFFFFFFFFFFFFFFF:
        raise OverflowError("Integer value out of range")
    buf.append(c)
    buf += _pack(_FORMATS[c - 0xC4], x)


def _put_rare(buf, kind, x, single):
    if kind == 6:
        buf += _pack(">Bf", 0xCA, x) if single else _pack(">Bd", 0xCB, x)
    elif kind == 7:
        # MicroPython knows neither nbytes nor, on most boards, itemsize.
        _put_head(buf, 0xC4, len(x) * len(bytes(x[:1])))
        buf += x
    elif kind == 8:
        code, data = x
        if not isinstance(code, int) or not isinstance(data, bytes):
            raise TypeError("ExtType is an int and bytes")
        if not 0 <= code <= 127:
            raise ValueError("code must be 0~127")
        _put_ext(buf, code, data)
    else:
        _put_ext(buf, 0xFF, x.to_bytes())


def _put_ext(buf, code, data):
    n = len(data)
    if n in (1, 2, 4, 8, 16):
        buf.append(0xD4 + (1, 2, 4, 8, 16).index(n))
    else:
        _put_head(buf, 0xC7, n)
    buf.append(code)
    buf += data


def _long(packed, i, end, c, raw, ext_hook):
    """Read what follows the type `c` at `i`; return the position behind it and the value.

    For lists and dicts these are the position of the first item and the number of items.
    """
    if c == 0xC1:
        raise __getattr__("FormatError")("Unknown header: 0xc1")
    n = c - 0xC4
    j = i + _SIZES[n]
    if j <= end:
        n = 1 << n - 16 if c > 0xD3 and c < 0xD9 else _unpack_from(_FORMATS[n], packed, i)[0]
        if c > 0xC9 and c < 0xD4:
            return j, n
        if c > 0xC6 and c < 0xCA:
            j += 1
        i = j + n
        # An item takes a byte at least: what cannot be there is not even begun.
        if i <= end:
            if c > 0xDB:
                return j, n
            x = packed[j:i]
            if c > 0xC6 and c < 0xD9:
                return i, _ext(packed[j - 1], _bytes(x), ext_hook)
            return i, _bytes(x) if raw or c < 0xC7 else _str(x, "utf-8")
    raise ValueError("incomplete input")


def _ext(code, data, hook):
    if code == 0xFF:
        return __getattr__("Timestamp").from_bytes(data)
    if code > 127:
        code -= 256
        if hook is ExtType:
            raise ValueError("code must be 0~127")
    return hook(code, data)


def _push(stack, out, key, left):
    if len(stack) > 90:  # three for each of the levels but the outermost and the one to come
        raise __getattr__("StackError")("nested too deep")
    stack.append(out)
    stack.append(key)
    stack.append(left)


def _check_key(key, strict):
    if strict and not isinstance(key, (str, bytes)):
        raise ValueError("%s is not allowed for map key" % type(key).__name__)
    try:
        hash(key)
    except TypeError as exc:
        raise ValueError(str(exc))


def _extra(unpacked, extra):
    raise ExtraData(unpacked, bytes(extra))
