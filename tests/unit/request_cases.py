"""One core of the request protocol, in a session with a peer that the test plays."""

from typing import Any

from moat.micro.cmd._request import SESSION, Requests
from moat.micro.cmd._wire import CALL, HELLO, ID_BITS, VERSION

PEER = 0x12345678 | ID_BITS
NEXT = PEER + 1 | 8  # its id in the session that follows
OTHER = PEER ^ 0x10000  # another peer


def received(core: Requests, *msg: Any) -> Any:
    """The event of a message, which causes one."""
    event = core.receive(list(msg))
    assert event is not None
    return event


class Ours:
    """A call of ours."""

    order = 0

    def __init__(self, name: "int | str" = "ours"):
        self.name = name

    def __eq__(self, other):
        return self.name == other

    __hash__ = object.__hash__


def opened(peer_limit=4096, **kw):
    """A core with a session."""
    core = Requests(1, **kw)
    core.receive([HELLO, VERSION, PEER, core.own, peer_limit, {}])
    assert core.open
    core.out.clear()
    return core


def called(core, ident=1, credit=None):
    """Have the peer call something."""
    msg = [CALL, ident, ["x"], b"", credit]
    assert core.receive(msg) == (CALL, ident, msg)
    core.served[ident] = f"served {ident}"


def calling(core, name: "int | str" = "ours", credit=None):
    """Call the peer; returns the id."""
    return core.call(Ours(name), ["x"], b"", credit)[0]


def state(core):
    return core.peer, core.peer_limit, core.open, dict(core.calls), dict(core.served)


def names(ended):
    """What calls have ended with."""
    return [(call.name, err[0]) for call, err in ended]


def again(core, features, peer=NEXT):
    """The session begins anew, as the peer wants it; returns what has become of our calls."""
    event = core.receive([HELLO, VERSION, peer, None, 4096, features])
    assert event is not None
    assert event[0] == SESSION
    return names(event[1])
