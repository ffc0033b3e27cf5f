"""Both ends of the request protocol, without I/O.

Feed `receive` with messages; it returns an event or None, and appends answers of its own to
`out`. The other methods return the message to be sent, behind those that are in `out`: the
order of all messages is that in which they were made. A call is in one of these states, and
whatever else arrives for it is skipped:

    at the caller      sent       -- REPLY, ERROR -->  gone, with that outcome
                                  -- ITEM, ROOM -->    sent
                                  -- cancel() -->      cancelled
                       cancelled  -- REPLY, ERROR -->  gone
    at the callee      running    -- CANCEL, CREDIT, FEED, FED --> running
                                  -- reply(), error() --> gone

so an id is free for the next call only when the callee has let go of it.

A session is a pair of ids, and open at an end that has been told its own id by the peer. So
whatever was on its way when a session ended arrives ahead of the hello that opens the next
one, and is skipped. A hello from a peer with another id (it has started anew), or one from a
peer that does not know ours (its link was reset), or a bye, ends all calls of both sides.
What has become of ours, _outcome.py finds out with the next hello.
"""

from moat.micro.cmd._wire import (
    AT,
    BYE,
    CALL,
    CANCEL,
    CREDIT,
    DEADLINE,
    ERROR,
    FED,
    FEED,
    HELLO,
    ID_BITS,
    ITEM,
    KEEP,
    RECENT,
    REPLY,
    ROOM,
    TRACE,
    TRACEBACK,
    VERSION,
)
from moat.micro.const import const
from moat.micro.errors import BusyError, LinkLost, MessageTooLongError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# Events that are not the arrival of a kind: the session changed; the peer is not compatible.
SESSION = -1
REFUSED = -2

# Bytes of the longest header without its path: array, kind, id, length of the data, credit.
_HEADER = 24

_IDS = 255  # ids of calls, so one or two bytes on the wire
_MAX_CALLS = 128  # calls at the same time: no id comes again soon
_WHY = "the peer has left or started anew"
_MAX_REFUSED = 64  # refusals that wait to be sent; a peer that causes more gets no answer


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
        self._called = 0  # calls of ours
        self._recent = bytearray()  # ids of the peer's last calls
        self._who: "Any" = None  # the peer whose calls these are
        self._outcomes: "Any" = None  # of a session that was lost, if there is anything to tell
        self._max_served = max_served
        self._send_limit = send_limit
        self._last = 0
        self._refused: "Any" = -1  # id of the last peer of another version

    def hello(self) -> "list[Any]":
        """Return the message that introduces us; send it at the start, and when in doubt."""
        return [HELLO, VERSION, self.own, self.peer, self.limit, self._features()]

    def receive(self, msg: "Any") -> "tuple[Any, ...] | None":
        """Take a message of the peer; returns an event or None.

        (SESSION, ended, served)        the session has begun or ended; `ended`: calls of ours,
                                        each with its error as on the wire; `served`: the peer's
        (REFUSED, ended, served, text)  the same, since the peer speaks another version
        (CALL, id, msg)                 run this, set `served[id]`; below 0: it gets no reply
        (CANCEL, served)                stop this; it has to be ended with `error` all the same
        (CREDIT, served, bytes)         more of the stream may be sent
        (FEED, served, data, dropped)   a value for the command; (FED, served): there are no more
        (REPLY, call, data, options)  (ERROR, call, error, options)
        (ITEM, call, data, dropped)  (ROOM, call, bytes)
        """
        try:
            kind: "Any" = msg[0] if isinstance(msg, list) else None
            if kind == HELLO:
                return self._hello(msg)
            if kind == BYE:
                return self.lost(True)
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

    def lost(self, final: bool = False, why: str = _WHY) -> "tuple[Any, ...]":
        """The link broke or was replaced: end the session; returns a SESSION event.

        Calls of ours stay in doubt until the peer's next hello. `final`: there will be none.
        """
        if final:
            self._recent = bytearray()
        event = self._drop(why)
        if final and self._outcomes is not None:
            event = SESSION, event[1] + self._outcomes.unknown(), event[2]
        self.out.clear()  # nobody needs these any more
        self.peer = None
        self.open = False
        return event

    def _drop(self, why=_WHY):
        calls, served = self.calls, self.served
        ended: "list[Any]" = []
        if calls or self._recent:
            if self._outcomes is None:
                from moat.micro.cmd._outcome import Outcomes

                self._outcomes = Outcomes()
            if self._recent:
                self._outcomes.tell(self._recent, served)
                self._recent = bytearray()
            if calls:
                ended = self._outcomes.drop(self.peer, calls, self.out, why)
        self.calls = {}
        self.served = {}
        return SESSION, ended, [x for x in served.values() if x is not None]

    def _features(self):
        return {} if self._outcomes is None else self._outcomes.told

    def _forget(self):
        """Nobody will ask for the calls of the last session."""
        self._recent = bytearray()
        if self._outcomes is not None:
            self._outcomes.told = {}

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
        event = None
        if new or known != was:
            if ident != self._who:
                self._forget()
            event = self._drop()
            if self._outcomes is not None:
                features = msg[5] if len(msg) > 5 else None
                ended = self._outcomes.resolve(ident, features, self._called)
                event = SESSION, event[1] + ended, event[2]
            if known:
                self._forget()
        self.peer = self._who = ident
        self.peer_limit = min(limit, self._send_limit or limit)
        self.open = known
        if new or not known:
            self.out.clear()
            self.out.append(self.hello())
        return event

    def _refuse(self, version, ident):
        """Tell a peer of another version ours, once: it does the same."""
        event = None
        if self.open or ident != self._refused:
            self._refused = ident
            event = self.lost(True)
            self.out.append(self.hello())
        ended, served = event[1:] if event else ((), ())
        text = "the peer speaks version %s of the protocol, this end %s" % (version, VERSION)
        return REFUSED, ended, served, text

    # ---- at the callee

    def _call(self, _kind, msg):
        ident, path = msg[1], msg[2]
        credit = msg[4] if len(msg) > 4 else None
        if not isinstance(path, (list, str)) or (_natural(ident) and ident in self.served):
            raise ValueError
        if not (credit is None or (isinstance(credit, int) and ident)):
            raise ValueError
        if len(msg) > 5:
            _check_options(msg[5])
        if len(self.served) >= self._max_served:
            busy = "%d calls are being served already" % self._max_served
            return self._no(ident, ["BusyError", busy])
        if not isinstance(msg[3] if len(msg) > 3 else b"", bytes):
            return self._no(ident, ["ArgumentError", "malformed arguments"])
        if ident:
            if len(self._recent) >= RECENT:
                self._recent[0:1] = b""
            self._recent.append(ident & 255)
        else:
            while ident in self.served or not ident:  # numbers of our own, below 0
                ident -= 1
        self.served[ident] = None
        return CALL, ident, msg

    def _no(self, ident, err):
        if ident and len(self.out) < _MAX_REFUSED:
            self.out.append([ERROR, ident, err])

    def _cancel(self, _kind, msg):
        return CANCEL, self.served[msg[1]]

    def _credit(self, _kind, msg):
        return CREDIT, self.served[msg[1]], _natural(msg[2])

    def _feed(self, _kind, msg):
        return FEED, self.served[msg[1]], msg[2], _natural(msg[3]) if len(msg) > 3 else 0

    def _fed(self, _kind, msg):
        return FED, self.served[msg[1]]

    def reply(self, ident: int, data: bytes, options: "Any" = None) -> "list[Any] | None":
        """End a call with its encoded result, empty for None. None: no reply was asked for.

        MessageTooLongError: it is still to be ended.
        """
        self._check(len(data) + (_weight(options) if options else 0))
        del self.served[ident]
        if ident < 0:
            return None
        if options:
            return [REPLY, ident, data, options]
        return [REPLY, ident, data] if data else [REPLY, ident]

    def error(self, ident: int, err: "list[Any]", options: "Any" = None) -> "list[Any] | None":
        """End a call with an error, as `to_wire` makes it; it is shortened if need be."""
        del self.served[ident]
        if ident < 0:
            return None
        room = self.peer_limit - _HEADER
        if options and _weight(err) + _weight(options) > room:
            options = None
        if _weight(err) > room:
            text = str(err[1]) if len(err) > 1 else ""
            err = [err[0][:40], text[: max(0, room // 4 - 50)] + "..."]
        return [ERROR, ident, err, options] if options else [ERROR, ident, err]

    def item(self, ident: int, data: bytes, dropped: int = 0) -> "list[Any]":
        """One encoded value of a stream; `dropped` of them were left out before it."""
        self._check(len(data))
        return [ITEM, ident, data, dropped] if dropped else [ITEM, ident, data]

    def room(self, ident: int, n: int) -> "list[Any]":
        """Allow the caller `n` more bytes."""
        return [ROOM, ident, n]

    # ---- at the caller

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
            BusyError: too many calls are under way.
        """
        if not self.open:
            raise LinkLost("no session with the peer")
        more = _weight(options) if options else 0
        self._check(len(data) + more + (4 * len(path) if isinstance(path, str) else _weight(path)))
        ident = 0
        if call is not None:
            ident = self._free_id()
            self.calls[ident] = call
            self._called += 1
            call.order = self._called
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
            if self._outcomes is not None:
                self._outcomes.forget(call)
            return None
        self.calls[ident] = None
        return [CANCEL, ident]

    def grant(self, ident: int, n: int) -> "list[Any]":
        """Allow the callee `n` more bytes of a stream."""
        return [CREDIT, ident, n]

    def feed(self, ident: int, data: bytes, dropped: int = 0) -> "list[Any]":
        """One encoded value for the command; `dropped` of them were left out before it."""
        self._check(len(data))
        return [FEED, ident, data, dropped] if dropped else [FEED, ident, data]

    def fed(self, ident: int) -> "list[Any]":
        """The command gets no more values."""
        return [FED, ident]

    def _end(self, kind, msg):
        if len(msg) > 3:
            _check_options(msg[3])
        call = self.calls.pop(msg[1])
        if call is None:
            return None
        return kind, call, msg[2] if len(msg) > 2 else None, msg[3] if len(msg) > 3 else None

    def _item(self, kind, msg):
        call = self.calls[msg[1]]
        if call is None:
            return None
        return kind, call, msg[2], _natural(msg[3]) if len(msg) > 3 else 0

    def _room(self, kind, msg):
        call = self.calls[msg[1]]
        return None if call is None else (kind, call, _natural(msg[2]))

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
        FEED: _feed,
        FED: _fed,
        REPLY: _end,
        ERROR: _end,
        ITEM: _item,
        ROOM: _room,
    }


_OPTIONS = {DEADLINE: int, TRACE: list, TRACEBACK: (bool, str), KEEP: int, AT: list}


def _check_options(options):
    for key, what in options.items() if options else ():
        if not isinstance(what, _OPTIONS.get(key, object)):
            raise ValueError


def _natural(n):
    if not isinstance(n, int) or n < 0:
        raise ValueError
    return n


def _weight(x):
    """Bytes that this takes at most."""
    if isinstance(x, str):
        return 5 + (4 * len(x) if len(x) < 100 else len(x.encode()))
    if isinstance(x, bytes):
        return 5 + len(x)
    if isinstance(x, dict):
        return 5 + sum([9 + _weight(v) for v in x.values()])  # its keys are numbers
    if isinstance(x, (list, tuple)):
        return 5 + sum([_weight(v) for v in x])
    return 9


def _without_3(n):
    """The largest number up to `n` none of whose four bytes is 3: for the hello."""
    for shift in (24, 16, 8, 0):
        if n >> shift & 255 == 3:
            n = (n >> shift << shift) - 1
    return n
