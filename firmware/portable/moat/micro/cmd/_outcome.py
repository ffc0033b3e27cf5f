"""What has become of the calls of a session that was lost, without I/O.

A call of which the peer has heard nothing was not run; one that the peer has ended is done,
though its result is lost; of the others nobody knows. The peer tells it with its hello in
which its id is the next one: by then it has left the session of these calls for good. It
remembers the ids of the last calls that it has received, so of an older one nobody knows
either. A peer that still has the same id, and knows our new one, never had that session. A
peer that has started anew knows nothing.
"""

from moat.micro.cmd._checks import same
from moat.micro.cmd._wire import BEGUN, CALL, DONE, RECENT
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_UNKNOWN = "CallUnknownError"
_WHAT = {
    _UNKNOWN: "may have been run",
    "CallDoneError": "was run, its result is lost",
    "CallNotRunError": "was not run",
}


class Outcomes:
    """What one end knows of its own calls, and tells of the peer's."""

    def __init__(self) -> None:
        self.told: "dict[int, bytes]" = {}  # in our hello, of the peer's calls
        self._asked: "Any" = None  # id of the peer that knows about ours
        self._doubt: "dict[int, Any]" = {}  # id -> a call of ours
        self._why = ""

    def tell(self, recent: bytes, served: "Any", vague: bytes) -> None:
        """Remember what the peer has called, and what of it is running, or may be."""
        begun = bytes([i for i in served if i > 0] + [i for i in recent if i in vague])
        done = bytes([i for i in recent if i not in begun])
        self.told = {DONE: _not_3(done), BEGUN: _not_3(begun)}

    def drop(self, peer: int, calls: "dict[int, Any]", out: "list[Any]", why: str) -> "list[Any]":
        """The session is lost. Returns those calls of ours whose outcome is clear: not sent."""
        ended = self.unknown()
        self._why = why
        self._asked = peer
        unsent = [msg[1] for msg in out if msg[0] == CALL]
        for ident, call in calls.items():
            if call is not None:
                if ident in unsent:
                    ended.append((call, self._error("CallNotRunError")))
                else:
                    self._doubt[ident] = call
        return ended

    def resolve(self, peer: int, knows_us: bool, features: "Any", called: int) -> "list[Any]":
        """The peer says hello: returns the calls of ours that were in doubt, if it tells."""
        if peer == self._asked:
            if not knows_us:
                return []  # it may be older than our calls
            features = {}  # what it tells is about a session before
        elif not same(peer, self._asked) or not isinstance(features, dict):
            return self.unknown()
        done, begun = _ids(features, DONE), _ids(features, BEGUN)
        ended = []
        for ident, call in self._doubt.items():
            name = _UNKNOWN
            if ident in done:
                name = "CallDoneError"
            elif peer == self._asked or (ident not in begun and called - call.order < RECENT):
                name = "CallNotRunError"
            ended.append((call, self._error(name)))
        self._doubt = {}
        return ended

    def unknown(self) -> "list[Any]":
        """Nobody will tell: returns the calls of ours that were in doubt."""
        doubt = self._doubt
        if not doubt:
            return []
        self._doubt = {}
        return [(call, self._error(_UNKNOWN)) for call in doubt.values()]

    def forget(self, call: "Any") -> None:
        """Nobody waits for this call any more."""
        self._doubt = {i: other for i, other in self._doubt.items() if other is not call}

    def _error(self, name):
        return [name, "the call %s: %s" % (_WHAT[name], self._why)]


def _ids(features, key):
    ids = features.get(key, b"")
    return ids if isinstance(ids, bytes) else b""


def _not_3(ids):
    """The same ids, without a length of 3: for the hello."""
    return ids + ids[-1:] if len(ids) == 3 else ids
