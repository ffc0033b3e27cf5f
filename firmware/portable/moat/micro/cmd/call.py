"""Calls with more than a path and arguments, and what is known when they have ended."""

from moat.micro import rt
from moat.micro.cmd._errors import from_wire
from moat.micro.cmd._options import LONGEST
from moat.micro.cmd._span import decode
from moat.micro.cmd._wire import AT, DEADLINE, KEEP, TRACE, TRACEBACK
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


def options(
    deadline_ms: "int | None" = None,
    trace: bool = False,
    traceback: bool = False,
    keep: int = 0,
) -> "dict[int, Any] | None":
    """Return the options of a call, for the methods of CmdMsg and for Stream.

    Args:
        deadline_ms: milliseconds after which the far end gives up by itself, with TimeoutError.
        trace: ask each hop for its name and times; the command sees the whole way back.
        traceback: an error brings the traceback of the far side.
        keep: of a stream: while there is no credit, this many values wait there, and older ones
            are dropped. 1: the latest value only. 0: nothing is dropped, the command waits.
    """
    res: "dict[int, Any]" = {}
    if deadline_ms is not None:
        res[DEADLINE] = int(min(max(0, deadline_ms), LONGEST))
    if trace:
        res[TRACE] = []
    if traceback:
        res[TRACEBACK] = True
    if keep:
        res[KEEP] = int(keep)
    return res or None


def error_from(err: object, options: "Any", path: "Any") -> Exception:
    """Return the exception for what `to_wire` made of one that arose behind `path`.

    It gets the attributes that errors.CallError tells of.
    """
    if isinstance(err, list) and err[:1] == ["TimeoutError"]:
        exc: "Any" = rt.TimeoutError(*err[1:])  # which is the runtime's on a device
    else:
        exc = from_wire(err)
        if type(exc) is OSError and exc.errno is None and len(exc.args) == 1:
            exc = _with_errno(exc)  # a device raises it with the number alone
    options = options or {}
    hop = 0
    for n in options.get(AT, ()):
        hop += n if isinstance(n, int) and n > 0 else 0
    from moat.micro.cmd.path import dotted

    attrs = (
        ("path", dotted(path)),
        ("at", dotted(path[:hop])),
        ("remote_traceback", options.get(TRACEBACK)),
    )
    try:
        for name, value in attrs:
            setattr(exc, name, value)
    except AttributeError:
        pass  # one of MicroPython's own
    return exc


def _with_errno(exc):
    """CPython's OSError has an `errno` only if it has a text, too; it is of a subclass then."""
    import os

    number = exc.args[0]
    if not isinstance(number, int) or not 0 < number < 4096:
        return exc
    return OSError(number, os.strerror(number))


class Call:
    """A call of ours that waits for its reply.

    `trace`: of one that asked for it, the hops on its way, the nearest first: each the name of
    the device and the microseconds that the call has spent behind it, the last one those that
    the command took.
    """

    order = 0
    _ended: "Any" = None  # options
    _err: "Any" = None
    _data: "Any" = None

    def __init__(self) -> None:
        self.done = rt.Event()

    @property
    def trace(self) -> "list[tuple[str, int]]":
        """See the class."""
        hops = (self._ended or {}).get(TRACE, ())
        return [(h[0], h[1]) for h in reversed(hops) if isinstance(h, list) and len(h) == 2]

    def end(self, data: "Any", err: "Any", options: "Any") -> None:
        """The reply is there; called by CmdMsg."""
        self._data = data
        self._err = err
        self._ended = options
        self.done.set()

    def item(self, data: "Any", dropped: int) -> None:
        """A value, but this is no stream."""

    def room(self, n: int) -> None:
        """Credit for values, but this is no stream."""

    def result(self, path: "Any") -> "Any":
        """Return what the command returned, or raise its error."""
        if self._err is not None:
            raise error_from(self._err, self._ended, path)
        return None if self._data is None else decode(self._data)
