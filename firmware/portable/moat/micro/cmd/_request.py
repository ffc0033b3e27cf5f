"""Both ends of the request protocol, without I/O.

Feed `receive` with messages; it returns an event or None, and appends answers of its own to
`out`. The other methods return the message to be sent, behind those that are in `out`: the
order of all messages is that in which they were made. A call is in one of these states, and
whatever else arrives for it is skipped:

    at the caller      sent       -- REPLY, ERROR -->  gone, with that outcome
                                  -- ITEM -->          sent
                                  -- cancel() -->      cancelled
                       cancelled  -- REPLY, ERROR -->  gone
    at the callee      running    -- CANCEL, CREDIT --> running
                                  -- reply(), error() --> gone

so an id is free for the next call only when the callee has let go of it.

A session is a pair of ids, and open at an end that has been told its own id by the peer. So
whatever was on its way when a session ended arrives ahead of the hello that opens the next
one, and is skipped. A hello from a peer with another id (it has started anew), or one from a
peer that does not know ours (its link was reset), or a bye, ends all calls of both sides.
"""

from moat.micro.cmd._wire import (
    BYE,
    CALL,
    CANCEL,
    CREDIT,
    ERROR,
    HELLO,
    ID_BITS,
    ITEM,
    REPLY,
    VERSION,
)
from moat.micro.const import const
from moat.micro.errors import BusyError, LinkLost, MessageTooLongError, ProtocolError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# Events that are not the arrival of a kind: the session changed; the peer is not compatible.
SESSION = -1
REFUSED = -2

# Bytes of the longest header without its path: array, kind, id, length of the data, credit.
_HEADER = 24

_IDS = 255  # calls at the same time; ids from 1, so one or two bytes on the wire


class Requests:
    """The state of one link.

    Args:
        own: a random number, another one at each start (32 bits).
        limit: bytes of the longest message that we accept.
        max_served: calls of the peer that may run at the same time; more are refused as busy.
        send_limit: bytes of the longest message that can be sent; None: whatever the peer takes.
    """

    def __init__(
        self,
        own: int,
        limit: int = 4096,
        max_served: int = 16,
        send_limit: "int | None" = None,
    ) -> None:
        self.own = own | ID_BITS
        self.limit = _without_3(limit)
        self.peer: "Any" = None  # id of the peer, once it has said hello
        self.peer_limit = 0
        self.open = False  # the peer knows us, too
        self.out: "list[Any]" = []
        self.calls: "dict[int, Any]" = {}  # id -> what the caller gave us; None: cancelled
        self.served: "dict[int, Any]" = {}  # id -> what the callee set
        self.skipped = 0  # messages that made no sense
        self._max_served = max_served
        self._send_limit = send_limit
        self._last = 0
        self._refused: "Any" = -1  # id of the last peer of another version

    def hello(self) -> "list[Any]":
        """Return the message that introduces us; send it at the start, and when in doubt."""
        return [HELLO, VERSION, self.own, self.peer, self.limit, {}]

    def receive(self, msg: "Any") -> "tuple[Any, ...] | None":
        """Take a message of the peer; returns an event or None.

        (SESSION, calls, served)       the session has begun or ended; these dicts' calls are lost
        (REFUSED, calls, served, exc)  the same, since the peer speaks another version
        (CALL, id, path, data, credit) run this, set `served[id]`; credit is None but for streams
        (CANCEL, served)               stop this; it has to be ended with `error` all the same
        (CREDIT, served, bytes)        more of the stream may be sent
        (REPLY, call, data)  (ERROR, call, error)  (ITEM, call, data)
        """
        try:
            kind: "Any" = msg[0] if isinstance(msg, list) else None
            if kind == HELLO:
                return self._hello(msg)
            if kind == BYE:
                return self.lost()
            if self.open:
                return self._TABLE[kind](self, kind, msg)
        except (TypeError, IndexError, KeyError, ValueError):
            self.skipped += 1
            return None
        # Left over from an earlier session, or we have just started: say so, once.
        self.skipped += 1
        if self.peer is None and not self.out:
            self.out.append(self.hello())
        return None

    def lost(self) -> "tuple[Any, ...]":
        """The link broke or was replaced: end the session; returns a SESSION event."""
        self.peer = None
        self.open = False
        self.out.clear()  # nobody needs these any more
        return self._drop()

    def _drop(self):
        event = (SESSION, self.calls, self.served)
        self.calls = {}
        self.served = {}
        return event

    def _hello(self, msg):
        version, ident = msg[1], msg[2]
        # Our own id: the line echoes.
        if ident != ident & 0xFFFFFFFF | ID_BITS or ident == self.own:
            raise ValueError
        if version != VERSION:
            return self._refuse(version, ident)
        known, limit = msg[3] == self.own, msg[4]
        if not isinstance(limit, int):
            raise ValueError
        new = ident != self.peer
        was = self.open
        self.peer = ident
        self.peer_limit = min(limit, self._send_limit or limit)
        self.open = known
        if new or not known:
            self.out.clear()
            self.out.append(self.hello())
        return self._drop() if new or known != was else None

    def _refuse(self, version, ident):
        """Tell a peer of another version ours, once: it does the same."""
        calls, served = self.calls, self.served
        if self.open or ident != self._refused:
            self._refused = ident
            self.lost()
            self.out.append(self.hello())
        text = "the peer speaks version %s of the protocol, this end %s" % (version, VERSION)
        return REFUSED, calls, served, ProtocolError(text)

    # ---- at the callee

    def _call(self, _kind, msg):
        ident, path = msg[1], msg[2]
        credit = msg[4] if len(msg) > 4 else None
        if not isinstance(ident, int) or not isinstance(path, (list, str)) or ident in self.served:
            raise ValueError
        if credit is not None and not isinstance(credit, int):
            raise ValueError
        if len(self.served) >= self._max_served:
            busy = BusyError("%d calls are being served already" % self._max_served)
            self.out.append([ERROR, ident, ["BusyError", busy.args[0]]])
            return None
        self.served[ident] = None
        data = msg[3] if len(msg) > 3 else b""
        return CALL, ident, path, data, credit

    def _cancel(self, _kind, msg):
        return CANCEL, self.served[msg[1]]

    def _credit(self, _kind, msg):
        if not isinstance(msg[2], int) or msg[2] < 0:
            raise ValueError
        return CREDIT, self.served[msg[1]], msg[2]

    def reply(self, ident: int, data: bytes) -> "list[Any]":
        """End a call with its encoded result, empty for None.

        MessageTooLongError: it is still to be ended.
        """
        self._check(len(data))
        del self.served[ident]
        return [REPLY, ident, data] if data else [REPLY, ident]

    def error(self, ident: int, err: "list[Any]") -> "list[Any]":
        """End a call with an error, as `errors.to_wire` makes it; it is shortened if need be."""
        del self.served[ident]
        room = self.peer_limit - _HEADER
        if _size(err) > room:
            text = str(err[1]) if len(err) > 1 else ""
            err = [err[0][:40], text[: max(0, room // 4 - 50)] + "..."]
        return [ERROR, ident, err]

    def item(self, ident: int, data: bytes) -> "list[Any]":
        """One encoded value of a stream."""
        self._check(len(data))
        return [ITEM, ident, data]

    # ---- at the caller

    def call(
        self, call: "Any", path: "Any", data: bytes, credit: "int | None" = None
    ) -> "tuple[int, list[Any]]":
        """Return id and message of a call; `call` comes back in the events for it.

        Raises:
            LinkLost: there is no session.
            MessageTooLongError: the peer would not take it. Nothing has changed.
            BusyError: too many calls are under way.
        """
        if not self.open:
            raise LinkLost("no session with the peer")
        self._check(len(data) + (4 * len(path) if isinstance(path, str) else _size(path)))
        ident = self._free_id()
        self.calls[ident] = call
        msg = [CALL, ident, path]
        if data or credit is not None:
            msg.append(data)
        if credit is not None:
            msg.append(credit)
        return ident, msg

    def _free_id(self):
        ident = self._last
        for _ in range(_IDS):
            ident = ident % _IDS + 1
            if ident not in self.calls:
                self._last = ident
                return ident
        raise BusyError("%d calls are under way on this link" % _IDS)

    def cancel(self, ident: int, call: "Any") -> "list[Any] | None":
        """The caller is gone; returns the message, or None when the call has ended."""
        if self.calls.get(ident) is not call:  # the id may be another call's by now
            return None
        self.calls[ident] = None
        return [CANCEL, ident]

    def grant(self, ident: int, call: "Any", n: int) -> "list[Any] | None":
        """Allow `n` more bytes of a stream; None when it has ended."""
        return [CREDIT, ident, n] if self.calls.get(ident) is call else None

    def _end(self, kind, msg):
        call = self.calls.pop(msg[1])
        return None if call is None else (kind, call, msg[2] if len(msg) > 2 else None)

    def _item(self, kind, msg):
        call = self.calls[msg[1]]
        return None if call is None else (kind, call, msg[2])

    def _check(self, n):
        if n + _HEADER > self.peer_limit:
            raise MessageTooLongError(
                "the message has about %d bytes, the peer takes %d"
                % (n, self.peer_limit - _HEADER)
            )

    _TABLE = {
        CALL: _call,
        CANCEL: _cancel,
        CREDIT: _credit,
        REPLY: _end,
        ERROR: _end,
        ITEM: _item,
    }


def _size(items):
    """Bytes that an array of scalars takes at most."""
    return sum([5 + 4 * len(x) if isinstance(x, (str, bytes)) else 9 for x in items])


def _without_3(n):
    """The largest number up to `n` none of whose four bytes is 3: for the hello."""
    for shift in (24, 16, 8, 0):
        if n >> shift & 255 == 3:
            n = (n >> shift << shift) - 1
    return n
