"""Both ends of the request protocol, without I/O.

Feed `receive` with messages; it returns an event or None, and appends its answers to `out`. The
other methods return the message to be sent, behind those in `out`: messages keep the order in
which they were made. A call is in one of these states; what else arrives for it is skipped:

    at the caller      sent       -- REPLY, ERROR -->  gone, with that outcome
                                  -- ITEM, ROOM -->    sent
                                  -- cancel() -->      cancelled
                       cancelled  -- REPLY, ERROR -->  gone
    at the callee      running    -- CANCEL, CREDIT, FEED, FED --> running
                                  -- reply(), error() --> gone

so an id is free for the next call only when the callee has let go of it.

A session is a pair of ids, and open at an end that has been told its own id by the peer. An
end that leaves an open session takes the next id. So whatever was on its way when a session
ended arrives ahead of the hello that opens the next one, and is skipped. A hello from a peer
with another id, or one from a peer that does not know ours, or a bye, ends all calls of both
sides. What has become of ours, _outcome.py finds out with the next hello.
"""

import moat.micro.errors as errors
from moat.micro.cmd import _wire as wire
from moat.micro.cmd._checks import (
    MOST,
    following,
    natural,
    same,
    value,
    without_3,
)
from moat.micro.cmd._wire import RECENT
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# Events that are not the arrival of a kind: the session changed; the peer is not compatible.
SESSION = -1
REFUSED = -2

# Bytes of the longest header without its path: array, kind, id, length of the data, credit.
HEADER = 24

_CALLER = const(("arrived", "call", "cancel", "fed", "feed", "grant", "mine"))

_KEY = const(1)  # why a peer leaves: it wants another key, or one at all

_WANTED = const("the peer wants its key of this link to be proved: give both ends the same one")
_WHY = const("the peer has left or started anew")


class Requests:
    """The state of one link.

    Args:
        own: a random number, another one at each start (32 bits).
        limit: bytes of the longest message that we accept.
        max_served: calls of the peer that may run at the same time; more are refused as busy.
        send_limit: bytes of the longest message that can be sent; None: whatever the peer takes.
    """

    auth: "Any" = None  # an Auth, if the peer has to prove that it knows a key
    bye: "Any" = None  # to be said where there is no session

    def __init__(
        self,
        own: int,
        limit: int = 4096,
        max_served: int = 16,
        send_limit: "int | None" = None,
    ) -> None:
        self.calls: "dict[int, Any]" = {}  # id -> what the caller gave us; None: cancelled
        self.called = self.last = 0  # number of calls of ours, id of the last one
        self.open = False  # the peer knows us, too
        self.out: "list[Any]" = []  # messages to be sent before any other
        self.outcomes: "Any" = None  # of a session that was lost, if there is anything to tell
        self.peer_limit = 0  # bytes of the longest message that can be sent
        self.own = own | wire.ID_BITS
        self.limit = without_3(limit)
        self.peer: "Any" = None  # id of the peer, once it has said hello
        self.served: "dict[int, Any]" = {}  # id -> what the callee set
        self.skipped = 0  # messages that made no sense
        self._recent = bytearray()  # ids of the peer's last calls
        self._vague: "list[int]" = []  # of these, ids of which we cannot say that they are done
        self._who: "Any" = None  # the peer whose calls these are
        self._max_served = max_served
        self._send_limit = send_limit
        self._refused: "Any" = -1  # id of the last peer of another version

    def __getattr__(self, name: str) -> "Any":
        """Return a method of the Caller, which an end that never calls does not need."""
        if name not in _CALLER:
            raise AttributeError(name)
        from moat.micro.cmd._caller import Caller

        caller = Caller(self)
        for method in _CALLER:
            setattr(self, method, getattr(caller, method))
        return getattr(caller, name)

    def hello(self) -> "list[Any]":
        """Return the message that introduces us; send it at the start, and when in doubt."""
        features = {} if self.outcomes is None else self.outcomes.told
        msg = [wire.HELLO, wire.VERSION, self.own, self.peer, self.limit, features]
        return msg if self.auth is None else self.auth.hello(msg)

    def receive(self, msg: "Any") -> "tuple[Any, ...] | None":
        """Take a message of the peer; returns an event or None.

        (SESSION, ended, served)        the session has begun or ended; `ended`: calls of ours,
                                        each with its error as on the wire; `served`: the peer's
        (REFUSED, ended, served, exc)   the same, the peer speaks another version, or wants a key
        (CALL, id, msg)                 run this, set `served[id]`; below 0: it gets no reply
        (CANCEL, served)                stop this; it has to be ended with `error` all the same
        (CREDIT, served, bytes)         more of the stream may be sent
        (FEED, served, data, dropped)   a value for the command; (FED, served): there are no more
        (REPLY, call, data, options)  (ERROR, call, error, options)
        (ITEM, call, data, dropped)  (ROOM, call, bytes)

        AuthError: the peer does not prove our key; say `bye` and close the link.
        """
        try:
            kind: "Any" = msg[0] if isinstance(msg, list) else None
            if kind == wire.HELLO:
                return self.met(msg) if self.auth is None else self.auth.met(msg)
            if kind == wire.BYE:
                return self._bye(msg)
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
        if final:
            event[1].extend(self._unknown())
        self.out.clear()  # nobody needs these any more
        self.peer = None
        if self.auth is not None:
            self.auth.renew()
        return event

    def _bye(self, msg):
        refusal = errors.AuthError(_WANTED) if len(msg) > 1 and msg[1] == _KEY else None
        if refusal is not None and self.auth is not None:
            raise refusal
        # Who has left has never heard of us: our hello is for somebody else.
        greets = self.peer is None and len(self.out) > 0
        event = self.lost(True)
        if greets:
            self.out.append(self.hello())
        return event if refusal is None else (REFUSED, event[1], event[2], refusal)

    def _unknown(self):
        return [] if self.outcomes is None else self.outcomes.unknown()

    def _drop(self, why=_WHY):
        if self.open:
            self.open = False
            self.own = following(self.own)
        calls, served = self.calls, self.served
        ended: "list[Any]" = []
        if calls or self._recent:
            if self.outcomes is None:
                from moat.micro.cmd._outcome import Outcomes

                self.outcomes = Outcomes()
            if self._recent:
                self.outcomes.tell(self._recent, served, self._vague)
                self._recent = bytearray()
                self._vague = []
            if calls:
                ended = self.outcomes.drop(self.peer, calls, self.out, why)
        self.calls = {}
        self.served = {}
        return SESSION, ended, [x for x in served.values() if x is not None]

    def forget(self) -> None:
        """Nobody will ask for the calls of the last session."""
        self._recent = bytearray()
        self._vague = []
        if self.outcomes is not None:
            self.outcomes.told = {}

    def met(self, msg: "Any") -> "tuple[Any, ...] | None":
        """Take a hello, which is good. ValueError: it is malformed."""
        version, ident = msg[1], msg[2]
        # Our own id: the line echoes.
        if ident != ident & 0xFFFFFFFF | wire.ID_BITS or same(ident, self.own):
            raise ValueError
        if version != wire.VERSION:
            return self._refuse(version, ident)
        known, limit = msg[3] == self.own, msg[4]
        if not isinstance(limit, int):
            raise ValueError
        new = ident != self.peer
        event = None
        if new or known != self.open:
            if not same(ident, self._who):
                self.forget()
            known = known and not self.open
            event = self._drop()
            if self.outcomes is not None:
                features = msg[5] if len(msg) > 5 else None
                event[1].extend(self.outcomes.resolve(ident, known, features, self.called))
        self.peer = self._who = ident
        self.peer_limit = min(limit, self._send_limit or limit)
        self.open = known
        if new or not known:
            self.out.clear()
            self.out.append(self.hello())
        if known and event is not None and self.auth is None:
            self.forget()
        return event

    def _refuse(self, version, ident):
        """Tell a peer of another version ours, once: it does the same."""
        if isinstance(version, (list, dict)):
            raise ValueError
        ended, served = [], []
        if self.open or ident != self._refused:
            self._refused = ident
            _, ended, served = self.lost()
            ended.extend(self._unknown())
            self.out.append(self.hello())
        text = "the peer speaks version %s of the protocol, this end %s" % (version, wire.VERSION)
        return REFUSED, ended, served, errors.ProtocolError(text)

    # ---- at the callee

    def _call(self, _kind, msg):
        ident, path = natural(msg[1]), msg[2]
        if ident > 255 or not isinstance(path, (list, str)) or (ident and ident in self.served):
            raise ValueError
        if len(msg) > 4 and msg[4] is not None and (not ident or natural(msg[4]) < 0):
            raise ValueError
        if len(msg) > 5:
            from moat.micro.cmd._options import call_options

            msg[5] = call_options(msg[5])
        if self._is_busy(ident):
            return self._no(ident, "BusyError", "%d calls are served already" % self._max_served)
        if len(msg) > 3 and not isinstance(msg[3], bytes):
            return self._no(ident, "ArgumentError", "malformed arguments")
        if ident:
            self._remember(ident)
        else:
            ident = self.number()
        self.served[ident] = None
        return wire.CALL, ident, msg

    def _is_busy(self, ident):
        """Whether too many calls run, or have ended and the line is slow.

        ValueError: this id has not been told yet that its last call has ended. Thus there is an
        end to what a peer can cause who does not listen.
        """
        n = len(self.served)
        if n + len(self.out) < self._max_served:
            return False
        for msg in self.out:
            if msg[0] in (wire.REPLY, wire.ERROR):
                if msg[1] == ident:
                    raise ValueError
                n += msg[0] == wire.REPLY  # an error costs little, and comes at once
        return n >= self._max_served

    def _no(self, ident, *err):
        if ident:
            self.out.append([wire.ERROR, ident, list(err)])

    def _remember(self, ident):
        if len(self._recent) >= RECENT:
            self._recent[0:1] = b""
        self._recent.append(ident)
        if ident in self._vague:
            self._vague.remove(ident)

    def number(self) -> int:
        """Return a number for a call without an id, below 0."""
        ident = -1
        while ident in self.served:
            ident -= 1
        return ident

    def _cancel(self, _kind, msg):
        return wire.CANCEL, self.served[natural(msg[1])]

    def _credit(self, _kind, msg):
        return wire.CREDIT, self.served[natural(msg[1])], natural(msg[2])

    def _feed(self, _kind, msg):
        served = self.served[natural(msg[1])]
        return wire.FEED, served, value(msg[2]), natural(msg[3]) if len(msg) > 3 else 0

    def _fed(self, _kind, msg):
        return wire.FED, self.served[natural(msg[1])]

    def reply(self, ident: int, data: bytes, options: "Any" = None) -> "list[Any] | None":
        """End a call with its encoded result, empty for None. None: no reply was asked for.

        MessageTooLongError: it is still to be ended.
        """
        n = len(data)
        if options:
            from moat.micro.cmd._options import weight

            n += weight(options)
        self.check(n)
        del self.served[ident]
        if ident < 0:
            return None
        if options:
            return [wire.REPLY, ident, data, options]
        return [wire.REPLY, ident, data] if data else [wire.REPLY, ident]

    def error(
        self, ident: int, err: "list[Any]", options: "Any" = None, done: bool = True
    ) -> "list[Any] | None":
        """End a call with an error, as `to_wire` makes it; it is shortened if need be.

        `done`: false, if the command is run elsewhere and may not have ended.
        """
        del self.served[ident]
        if ident < 0:
            return None
        if not done:
            self._vague.append(ident)
        from moat.micro.cmd._options import fitting

        err, options = fitting(err, options, self.peer_limit - HEADER)
        return [wire.ERROR, ident, err, options] if options else [wire.ERROR, ident, err]

    def detach(self, ident: int) -> int:
        """Before a call is ended whose command goes on for a while: it keeps counting.

        Returns the number under which it is served from now on.
        """
        if ident < 0:
            return ident
        number = self.number()
        self.served[number] = self.served[ident]
        return number

    def item(self, ident: int, data: bytes, dropped: int = 0) -> "list[Any]":
        """One encoded value of a stream; `dropped` of them were left out before it."""
        self.check(len(data))
        return [wire.ITEM, ident, data, dropped] if dropped else [wire.ITEM, ident, data]

    def room(self, ident: int, n: int) -> "list[Any] | None":
        """Allow the caller `n` more bytes. None: a message that waits does."""
        return self.allow(wire.ROOM, ident, n)

    # ---- at both ends

    def check(self, n: int) -> None:
        """MessageTooLongError: the peer takes no message with a header and `n` bytes."""
        if n + HEADER > self.peer_limit:
            raise errors.MessageTooLongError(
                "the message has about %d bytes, the peer takes %d" % (n, self.peer_limit - HEADER)
            )

    def allow(self, kind: int, ident: int, n: int) -> "list[Any] | None":
        """Return the message that allows `n` more bytes, unless one that waits does."""
        for msg in self.out:  # so a peer that sends many of them to a relay fills nothing
            if msg[0] == kind and msg[1] == ident:
                msg[2] = min(msg[2] + n, MOST)
                return None
        return [kind, ident, n]

    def _ours(self, kind, msg):
        """What is said about a call of ours."""
        return self.arrived(kind, msg) if self.calls else self.calls[0]  # a KeyError

    _TABLE = {
        wire.CALL: _call,
        wire.CANCEL: _cancel,
        wire.CREDIT: _credit,
        wire.FEED: _feed,
        wire.FED: _fed,
        wire.REPLY: _ours,
        wire.ERROR: _ours,
        wire.ITEM: _ours,
        wire.ROOM: _ours,
    }
