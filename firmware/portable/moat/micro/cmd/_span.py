"""What calls carry, as encoded spans: arguments and values.

A device imports this with the first call that carries any of it.
"""

from msgpack import ExtraData, packb, unpackb

import moat.micro.errors as errors
from moat.micro.cmd._checks import unheard
from moat.micro.const import const
from moat.micro.errors import ProtocolError

_NAME = const(40)  # letters
_more_names = 32  # so many are kept for ever, see unheard

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


def pack_args(args: "tuple[Any, ...]", kw: "dict[str, Any]") -> bytes:
    """Encode arguments: an array of the positional ones, then a map; each left out if empty."""
    data = packb(args) if args else b""
    return data + packb(kw) if kw else data


def unpack_args(data: "Any") -> "tuple[list[Any], dict[str, Any]]":
    """Decode what `pack_args` made: a list and a dict. ArgumentError: it is nothing like it."""
    args: "Any" = ()
    kw: "Any" = {}
    try:
        if data:
            try:
                args = unpackb(data, strict_map_key=False)
            except ExtraData as exc:
                args = exc.unpacked
                kw = unpackb(bytes(exc.extra), strict_map_key=False)
            if isinstance(args, dict):
                args, kw = (), args
        if not isinstance(kw, dict):
            raise ValueError
        for name in kw:
            if isinstance(name, str) and unheard(name):
                _hear(name)
        return list(args), kw
    except (ValueError, TypeError):
        raise errors.ArgumentError("malformed arguments")


def _hear(name):
    """Take the name of an argument that no code here has: it may be meant for a ``**kw``."""
    global _more_names
    if not _more_names or len(name) > _NAME:
        raise errors.ArgumentError("unexpected keyword argument '%s'" % name)
    _more_names -= 1


def decode(data: "Any") -> "Any":
    """Return the value of an encoded span. ProtocolError: it is none."""
    try:
        return unpackb(data, strict_map_key=False)
    except (ValueError, TypeError) as exc:
        raise ProtocolError("malformed value from the peer: %s" % exc)
