"""The caller's end of the request protocol, without I/O; see _request.py."""

from moat.micro.cmd._checks import MOST, end_options, error, natural, value, weight
from moat.micro.cmd._wire import CALL, CANCEL, CREDIT, ERROR, FED, FEED
from moat.micro.const import const
from moat.micro.errors import BusyError, LinkLost, MessageTooLongError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# Bytes of the longest header without its path: array, kind, id, length of the data, credit.
HEADER = 24

_IDS = 255  # ids of calls, so one or two bytes on the wire
# Calls at the same time. The same id comes again after _IDS - _MAX_CALLS others at least: more
# than can be on their way and remembered by the peer, who would take one for the other.
_MAX_CALLS = 95
_MAX_NOTICES = 64  # messages that may wait when a call without a reply is made


class Caller:
    """Calls of ours, on their way to the peer.

    calls: id -> what the caller gave us; None: cancelled.
    called: their number so far.
    open: whether there is a session.
    out: messages to be sent before any other.
    outcomes: of calls of a session that was lost, if there is anything to tell.
    peer_limit: bytes of the longest message that can be sent.
    """

    def __init__(self) -> None:
        self.calls: "dict[int, Any]" = {}
        self.called = 0
        self.open = False
        self.out: "list[Any]" = []
        self.outcomes: "Any" = None
        self.peer_limit = 0
        self._last = 0  # id

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
            LinkLost: there is no session.
            MessageTooLongError: the peer would not take it. Nothing has changed.
            BusyError: too many calls are under way, or the line is slow and nobody waits for it.
        """
        if not self.open:
            raise LinkLost("no session with the peer")
        more = weight(options) if options else 0
        self.check(len(data) + more + (4 * len(path) if isinstance(path, str) else weight(path)))
        ident = 0
        if call is None:
            if len(self.out) >= _MAX_NOTICES:
                raise BusyError("%d messages wait to be sent" % len(self.out))
        else:
            ident = self._free_id()
            self.calls[ident] = call
            self.called += 1
            call.order = self.called
        msg = [CALL, ident, path]
        if options:
            msg += [data, credit, options]
        elif credit is not None:
            msg += [data, credit]
        elif data:
            msg.append(data)
        return ident, msg

    def _free_id(self):
        if len(self.calls) >= _MAX_CALLS:
            raise BusyError("%d calls are under way on this link" % _MAX_CALLS)
        ident = self._last % _IDS + 1
        while ident in self.calls or ident == 3:  # they may be told in a hello
            ident = ident % _IDS + 1
        self._last = ident
        return ident

    def mine(self, ident: int, call: "Any") -> bool:
        """Whether this call of ours is under way; the id may be another call's by now."""
        return self.calls.get(ident) is call

    def cancel(self, ident: int, call: "Any") -> "list[Any] | None":
        """The caller is gone; returns the message, or None when the call has ended."""
        if self.calls.get(ident) is not call:
            if self.outcomes is not None:
                self.outcomes.forget(call)
            return None
        self.calls[ident] = None
        return [CANCEL, ident]

    def grant(self, ident: int, n: int) -> "list[Any] | None":
        """Allow the callee `n` more bytes of a stream. None: a message that waits does."""
        return self.allow(CREDIT, ident, n)

    def feed(self, ident: int, data: bytes, dropped: int = 0) -> "list[Any]":
        """One encoded value for the command; `dropped` of them were left out before it."""
        self.check(len(data))
        return [FEED, ident, data, dropped] if dropped else [FEED, ident, data]

    def fed(self, ident: int) -> "list[Any]":
        """The command gets no more values."""
        return [FED, ident]

    def ended(self, kind: int, msg: "list[Any]") -> "Any":
        """REPLY or ERROR."""
        data = msg[2] if len(msg) > 2 else None
        options = end_options(msg[3]) if len(msg) > 3 else None
        call = self.calls.pop(msg[1])
        if call is None:
            return None
        if kind == ERROR:
            data = error(data)
        elif data is not None:
            data = value(data)
        return kind, call, data or None, options

    def item_of(self, kind: int, msg: "list[Any]") -> "Any":
        """ITEM."""
        call, data = self.calls[msg[1]], value(msg[2])
        n = natural(msg[3]) if len(msg) > 3 else 0
        return None if call is None else (kind, call, data, n)

    def room_of(self, kind: int, msg: "list[Any]") -> "Any":
        """ROOM."""
        call, n = self.calls[msg[1]], natural(msg[2])
        return None if call is None else (kind, call, n)

    def check(self, n: int) -> None:
        """MessageTooLongError: the peer takes no message with a header and `n` bytes."""
        if n + HEADER > self.peer_limit:
            raise MessageTooLongError(
                "the message has about %d bytes, the peer takes %d" % (n, self.peer_limit - HEADER)
            )

    def allow(self, kind: int, ident: int, n: int) -> "list[Any] | None":
        """Return the message that allows `n` more bytes, unless one that waits does."""
        for msg in self.out:  # so a peer that sends many of them to a relay fills nothing
            if msg[0] == kind and msg[1] == ident:
                msg[2] = min(msg[2] + n, MOST)
                return None
        return [kind, ident, n]
