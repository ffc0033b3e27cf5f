"""What the parts of a message may be, without I/O."""

from moat.micro.cmd._wire import ID_BITS
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

MOST = 0xFFFFFFFF  # of a number in a message

_MALFORMED = const(b"\x91")  # an array whose element is missing: an error for who decodes it


def natural(n: "Any") -> int:
    """Return `n`, a number of bytes or values. ValueError: it is none."""
    if not isinstance(n, int) or not 0 <= n <= MOST:
        raise ValueError
    return n


def value(data: "Any") -> bytes:
    """Return an encoded value; what is none is an error for its reader."""
    return data if isinstance(data, bytes) else _MALFORMED


def same(one: "Any", other: "Any") -> bool:
    """Whether these ids are of the same end: it changes the last byte with each session."""
    return one is not None and other is not None and one >> 8 == other >> 8


def following(own: int) -> int:
    """Return our id in the next session."""
    return own & ~255 | (own + 1) & 255 | ID_BITS & 255


def without_3(n: int) -> int:
    """Return the largest number up to `n` none of whose four bytes is 3: for the hello."""
    for shift in (24, 16, 8, 0):
        if n >> shift & 255 == 3:
            n = (n >> shift << shift) - 1
    return n


def unheard(name: str) -> bool:
    """Whether it would cost memory to look for this name, and be in vain.

    MicroPython keeps every name that is looked for in an object, for ever. One that occurs in
    any code it has already: then equal texts are the same object.
    """
    if not _KEEPS:
        return False
    data = name.encode()
    return str(data, "utf-8") is not str(data, "utf-8")


_KEEPS = str(b"unheard", "utf-8") is str(b"unheard", "utf-8")
