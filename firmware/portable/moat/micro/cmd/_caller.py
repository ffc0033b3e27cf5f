"""The caller's end of the request protocol, without I/O; see _request.py."""

import moat.micro.errors as errors
from moat.micro.cmd._checks import natural, value
from moat.micro.cmd._options import end_options, weight
from moat.micro.cmd._wire import CALL, CANCEL, CREDIT, ERROR, FED, FEED, ITEM, ROOM
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_IDS = 255  # ids of calls, so one or two bytes on the wire
# Calls at the same time. The same id comes again after _IDS - _MAX_CALLS others at least: more
# than can be on their way and remembered by the peer, who would take one for the other.
_MAX_CALLS = 95
_MAX_NOTICES = 64  # calls without a reply that may wait; streams keep to their credit


class Caller:
    """Calls of ours, on their way to the peer; `core` is the Requests of the link."""

    def __init__(self, core: "Any") -> None:
        self._core = core

    def call(
        self,
        call: "Any",
        path: "Any",
        data: bytes,
        credit: "int | None" = None,
        options: "Any" = None,
    ) -> "tuple[int, list[Any]]":
        """Return id and message of a call; `call` comes back in the events for it.

        None as `call`: it runs without a reply, its id is 0. The core sets `call.order`.

        Raises:
            CallNotRunError: there is no session.
            NotFoundError: no path has such an item.
            UnicodeError: it has a surrogate.
            MessageTooLongError: the peer would not take it. Nothing has changed.
            BusyError: too many calls are under way, or the line is slow and nobody waits for it.
        """
        core = self._core
        if not core.open:
            raise errors.CallNotRunError("there is no session with the peer")
        n = len(data)
        if options:
            n += weight(options)
        if isinstance(path, str):
            n += len(path.encode())
        else:
            for item in path:  # as weight(path), which takes three times as long
                n += 5 + len(item.encode()) if isinstance(item, str) else _number(item)
        core.check(n)
        ident = 0
        if call is None:
            if len(core.out) >= _MAX_NOTICES:
                _check_notices(core.out)
        else:
            ident = self._free_id()
            core.calls[ident] = call
            core.called += 1
            call.order = core.called
        msg = [CALL, ident, path]
        if options:
            msg += [data, credit, options]
        elif credit is not None:
            msg += [data, credit]
        elif data:
            msg.append(data)
        return ident, msg

    def _free_id(self):
        core = self._core
        if len(core.calls) >= _MAX_CALLS:
            raise errors.BusyError("%d calls are under way on this link" % _MAX_CALLS)
        ident = core.last % _IDS + 1
        while ident in core.calls or ident == 3:  # they may be told in a hello
            ident = ident % _IDS + 1
        core.last = ident
        return ident

    def mine(self, ident: int, call: "Any") -> bool:
        """Whether this call of ours is under way; the id may be another call's by now."""
        return self._core.calls.get(ident) is call

    def cancel(self, ident: int, call: "Any") -> "list[Any] | None":
        """The caller is gone; returns the message, or None when the call has ended."""
        core = self._core
        if core.calls.get(ident) is not call:
            if core.outcomes is not None:
                core.outcomes.forget(call)
            return None
        core.calls[ident] = None
        return [CANCEL, ident]

    def grant(self, ident: int, n: int) -> "list[Any] | None":
        """Allow the callee `n` more bytes of a stream. None: a message that waits does."""
        return self._core.allow(CREDIT, ident, n)

    def feed(self, ident: int, data: bytes, dropped: int = 0) -> "list[Any]":
        """One encoded value for the command; `dropped` of them were left out before it."""
        self._core.check(len(data))
        return [FEED, ident, data, dropped] if dropped else [FEED, ident, data]

    def fed(self, ident: int) -> "list[Any]":
        """The command gets no more values."""
        return [FED, ident]

    def arrived(self, kind: int, msg: "list[Any]") -> "Any":
        """REPLY, ERROR, ITEM or ROOM; returns an event of Requests.receive."""
        if kind == ITEM:
            return self._item(kind, msg)
        return self._room(kind, msg) if kind == ROOM else self._end(kind, msg)

    def _end(self, kind, msg):
        data = msg[2] if len(msg) > 2 else None
        options = end_options(msg[3]) if len(msg) > 3 else None
        call = self._core.calls.pop(msg[1])
        if call is None:
            return None
        if kind == ERROR:
            data = _error(data)
        elif data is not None:
            data = value(data)
        return kind, call, data or None, options

    def _item(self, kind, msg):
        call, data = self._core.calls[msg[1]], value(msg[2])
        n = natural(msg[3]) if len(msg) > 3 else 0
        return None if call is None else (kind, call, data, n)

    def _room(self, kind, msg):
        call, n = self._core.calls[msg[1]], natural(msg[2])
        return None if call is None else (kind, call, n)


def _number(item):
    """Return the weight of an item of a path."""
    if not isinstance(item, int) or not -(1 << 63) <= item < 1 << 64:
        what = item if isinstance(item, int) else type(item).__name__
        raise errors.NotFoundError("a path has names and numbers, not %s" % (what,))
    return 9


def _error(err: "Any") -> "list[Any]":
    """The error of a call; what is none becomes one."""
    if isinstance(err, list) and err and isinstance(err[0], str):
        return err
    return ["ProtocolError", "malformed error from the peer"]


def _check_notices(out):
    n = len([msg for msg in out if msg[0] == CALL and not msg[1]])
    if n >= _MAX_NOTICES:
        raise errors.BusyError("%d calls without a reply wait to be sent" % n)
