"""What the parts of a message may be, and what they weigh; without I/O."""

from moat.micro.cmd._wire import AT, DEADLINE, ID_BITS, KEEP, TRACE, TRACEBACK
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

MOST = 0xFFFFFFFF  # of a number in a message

_CALL = {DEADLINE: int, TRACE: list, TRACEBACK: bool, KEEP: int}
_END = {TRACE: list, TRACEBACK: str, AT: list}
_MALFORMED = b"\x91"  # an array whose element is missing: an error for who decodes it


def natural(n: "Any") -> int:
    """Return `n`, a number of bytes or values. ValueError: it is none."""
    if not isinstance(n, int) or not 0 <= n <= MOST:
        raise ValueError
    return n


def value(data: "Any") -> bytes:
    """Return an encoded value; what is none is an error for its reader."""
    return data if isinstance(data, bytes) else _MALFORMED


def error(err: "Any") -> "list[Any]":
    """Return the error of a call; what is none becomes one."""
    if isinstance(err, list) and err and isinstance(err[0], str):
        return err
    return ["ProtocolError", "malformed error from the peer"]


def call_options(options: "Any") -> "dict[Any, Any]":
    """Return the options of a call; unknown ones are kept. ValueError: malformed."""
    if options is None:
        return {}
    if not _fits(options, _CALL):
        raise ValueError
    return options


def end_options(options: "Any") -> "dict[Any, Any] | None":
    """Return the options of the end of a call; malformed ones are none."""
    return options if options and _fits(options, _END) else None


def _fits(options, known):
    if not isinstance(options, dict):
        return False
    for key, what in known.items():
        if key in options and not isinstance(options[key], what):
            return False
    return True


def same(one: "Any", other: "Any") -> bool:
    """Whether these ids are of the same end: it changes the last byte with each session."""
    return one is not None and other is not None and one >> 8 == other >> 8


def following(own: int) -> int:
    """Return our id in the next session."""
    return own & ~255 | (own + 1) & 255 | ID_BITS & 255


def weight(x: "Any") -> int:
    """Return the bytes that this takes at most; what is nested too deep weighs too much."""
    try:
        return _weight(x)
    except RuntimeError:
        return MOST


def _weight(x):
    if isinstance(x, str):
        return 5 + (4 * len(x) if len(x) < 100 else len(x.encode()))
    if isinstance(x, bytes):
        return 5 + len(x)
    if isinstance(x, dict):
        return 5 + sum([_weight(k) + _weight(v) for k, v in x.items()])
    if isinstance(x, (list, tuple)):
        return 5 + sum([_weight(v) for v in x])
    return 9


def without_3(n: int) -> int:
    """Return the largest number up to `n` none of whose four bytes is 3: for the hello."""
    for shift in (24, 16, 8, 0):
        if n >> shift & 255 == 3:
            n = (n >> shift << shift) - 1
    return n
