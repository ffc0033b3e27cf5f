"""Exceptions on the wire. A device imports this with the first error of a call."""

from moat.micro.const import const
from moat.micro.errors import (
    ArgumentError,
    AuthError,
    BusyError,
    CallDoneError,
    CallNotRunError,
    CallUnknownError,
    InUseError,
    LinkLost,
    LinkReset,
    MessageTooLongError,
    NoConsoleError,
    NotFoundError,
    NotPermittedError,
    NotReadyError,
    ProtocolError,
    RemoteError,
    registered,
)

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


_OWN = (LinkLost, LinkReset, ProtocolError, AuthError, MessageTooLongError, InUseError,
    NoConsoleError, NotFoundError, ArgumentError, NotPermittedError, NotReadyError, BusyError,
    CallNotRunError, CallDoneError, CallUnknownError)  # fmt: skip
_BUILTIN = (ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, IndexError,
    KeyError, LookupError, MemoryError, NameError, NotImplementedError, OSError, OverflowError,
    RuntimeError, SyntaxError, TypeError, UnicodeError, ValueError, ZeroDivisionError)  # fmt: skip


def named(name: str) -> "Any":
    """Return the type of exceptions that has this name at both ends, or None."""
    for types in (_OWN, _BUILTIN, registered):
        for cls in types:
            if cls.__name__ == name:
                return cls
    return None


def to_wire(exc: BaseException) -> "list[object]":
    """Return the list that stands for an exception on the wire: type name, then its arguments.

    Arguments that are not plain scalars are replaced by their repr. What came from yet another
    peer is passed on as it was.
    """
    if isinstance(exc, RemoteError) and len(exc.args) == 2:
        return [exc.args[0]] + [_plain(a) for a in exc.args[1]]
    # CPython's subclasses of OSError, which the number stands for, are not known everywhere.
    numbered = isinstance(exc, OSError) and len(exc.args) > 1
    name = "OSError" if numbered else type(exc).__name__
    out: list[object] = [name]
    out.extend([_plain(a) for a in exc.args])
    return out


def _plain(a):
    if a is None or isinstance(a, (float, bytes)):
        return a
    if isinstance(a, int) and -(1 << 63) <= a < 1 << 64:
        return a
    try:
        if isinstance(a, str) and a.encode() is not None:  # a lone surrogate has no encoding
            return a
    except UnicodeError:
        pass
    try:
        return repr(a)
    except Exception as exc:  # it is code of an app
        return "<%s, whose repr raises %s>" % (type(a).__name__, type(exc).__name__)


def from_wire(err: object) -> Exception:
    """Return the exception for what `to_wire` made; an unknown type becomes RemoteError.

    What is no such list becomes a ProtocolError.
    """
    if not isinstance(err, list) or not err or not isinstance(err[0], str):
        return ProtocolError("malformed error from the peer")
    name, args = err[0], err[1:]
    cls = named(name)
    try:
        return RemoteError(name, args) if cls is None else cls(*args)
    except Exception:  # SyntaxError, for one, wants them to be of certain types
        return RemoteError(name, args)
