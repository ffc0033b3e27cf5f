"""The request protocol: one core at a time. What two do to each other: test_request_pair.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb

from moat.micro.cmd import _request, _wire
from moat.micro.cmd._request import REFUSED, SESSION, Requests
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
from moat.micro.errors import BusyError, LinkLost, MessageTooLongError, ProtocolError

PEER = 0x12345678 | ID_BITS


def opened(peer_limit=4096, **kw):
    """A core with a session."""
    core = Requests(1, **kw)
    core.receive([HELLO, VERSION, PEER, core.own, peer_limit, {}])
    assert core.open
    core.out.clear()
    return core


def called(core, ident=1, credit=None):
    """Have the peer call something."""
    event = core.receive([CALL, ident, ["x"], b"", credit])
    assert event == (CALL, ident, ["x"], b"", credit)
    core.served[ident] = f"served {ident}"


def state(core):
    return core.peer, core.peer_limit, core.open, dict(core.calls), dict(core.served)


# ---- hello


def test_a_hello_that_does_not_know_us_is_answered_and_one_that_does_opens():
    core = Requests(5)
    assert core.receive([HELLO, VERSION, PEER, None, 1000, {}]) == (SESSION, {}, {})
    assert not core.open
    assert core.out == [[HELLO, VERSION, core.own, PEER, core.limit, {}]]
    core.out.clear()
    assert core.receive([HELLO, VERSION, PEER, core.own, 1000, {}]) == (SESSION, {}, {})
    assert core.open
    assert core.peer_limit == 1000
    assert core.out == []


def test_the_same_hello_again_changes_nothing():
    core = opened()
    core.call("one", ["x"], b"")
    assert core.receive([HELLO, VERSION, PEER, core.own, 4096, {}]) is None
    assert core.open
    assert core.calls
    assert core.out == []


def test_a_peer_that_has_started_anew_ends_the_session():
    core = opened()
    ident, _ = core.call("ours", ["x"], b"")
    called(core, 9)
    event = core.receive([HELLO, VERSION, PEER ^ 1, None, 4096, {}])
    assert event == (SESSION, {ident: "ours"}, {9: "served 9"})
    assert state(core) == (PEER ^ 1, 4096, False, {}, {})


def test_a_peer_that_has_forgotten_us_ends_the_session():
    core = opened()
    ident, _ = core.call("ours", ["x"], b"")
    event = core.receive([HELLO, VERSION, PEER, None, 4096, {}])
    assert event == (SESSION, {ident: "ours"}, {})
    assert not core.open
    assert core.out == [core.hello()]


def test_a_bye_ends_the_session():
    core = opened()
    ident, _ = core.call("ours", ["x"], b"")
    called(core, 3)
    assert core.receive([BYE]) == (SESSION, {ident: "ours"}, {3: "served 3"})
    assert not core.open
    assert core.peer is None


def test_a_lost_link_ends_the_session_and_drops_what_was_to_be_sent():
    core = opened()
    core.out.append(core.call("ours", ["x"], b"")[1])
    assert core.lost() == (SESSION, {1: "ours"}, {})
    assert core.out == []
    assert core.lost() == (SESSION, {}, {})


@pytest.mark.parametrize("version", [0, 2, 99, None, "1"])
def test_another_version_is_refused_by_name_and_answered_once(version):
    core = opened()
    core.call("ours", ["x"], b"")
    hello = [HELLO, version, PEER ^ 1, "whatever"]
    event = core.receive(hello)
    assert event is not None
    assert event[:3] == (REFUSED, {1: "ours"}, {})
    assert isinstance(event[3], ProtocolError)
    assert (
        str(event[3]) == f"the peer speaks version {version} of the protocol, this end {VERSION}"
    )
    assert not core.open
    event = core.receive(hello)
    assert event is not None
    assert event[:3] == (REFUSED, {}, {})
    assert core.out == [core.hello()]


def test_a_peer_that_fits_may_come_after_one_that_does_not():
    core = Requests(5)
    core.receive([HELLO, VERSION + 1, PEER])
    event = core.receive([HELLO, VERSION, PEER ^ 1, core.own, 100])
    assert event == (SESSION, {}, {})
    assert core.open


def test_an_echoing_line_is_no_peer():
    core = Requests(5)
    assert core.receive(core.hello()) is None
    assert (core.peer, core.open, core.out, core.skipped) == (None, False, [], 1)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_a_hello_contains_no_ctrl_c(own, peer, limit):
    core = Requests(own, limit)
    assert 3 not in packb(core.hello())
    core.receive([HELLO, VERSION, peer | ID_BITS, None, 5])
    assert core.peer is not None or core.own == peer | ID_BITS
    assert 3 not in packb(core.hello())
    assert limit * 0.74 <= core.limit <= limit or limit == 3


def test_no_constant_of_the_protocol_is_ctrl_c():
    numbers = [v for v in vars(_wire).values() if isinstance(v, int)]
    assert 3 not in numbers


# ---- what makes no sense

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 300)
    | st.sampled_from([PEER, PEER ^ 1, 1 | ID_BITS, 2**64 - 1, math.inf, math.nan, 1.0])
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda sub: (
        st.lists(sub, max_size=4)
        | st.dictionaries(st.integers(0, 9) | st.text(max_size=2), sub, max_size=3)
    ),
    max_leaves=8,
)
shaped = st.tuples(st.integers(-1, 10), st.integers(0, 3) | anything).flatmap(
    lambda start: st.lists(anything, max_size=5).map(lambda rest: [*start, *rest])
)


@given(st.lists(shaped | anything, max_size=6), st.booleans())
def test_malformed_messages_are_skipped_and_counted(messages, is_open):
    core = opened() if is_open else Requests(1)
    if is_open:
        core.call("one", ["x"], b"")
        core.call("two", ["x"], b"", 100)
        core.cancel(2, "two")
        called(core, 1, 50)
    for msg in messages:
        before, skipped = state(core), core.skipped
        event = core.receive(msg)
        if core.skipped > skipped:
            assert event is None
            assert core.skipped == skipped + 1
            assert state(core) == before
        if event is not None:
            check(core, event)


def check(core, event):
    """Check what CmdMsg relies on."""
    kind, *rest = event
    if kind == CALL:
        ident, path, _data, credit = rest
        assert isinstance(ident, int)
        assert isinstance(path, list)
        assert credit is None or isinstance(credit, int)
        core.served[ident] = "served"
    elif kind == CREDIT:
        assert rest[0].startswith("served")
        assert isinstance(rest[1], int)
        assert rest[1] >= 0
    elif kind == CANCEL:
        assert rest[0].startswith("served")
    elif kind in (REPLY, ERROR, ITEM):
        assert rest[0] == "one"  # "two" was cancelled
    elif kind == REFUSED:
        assert isinstance(rest[2], ProtocolError)
    else:
        assert kind == SESSION
        assert [type(x) for x in rest] == [dict, dict]


@pytest.mark.parametrize("msg", [b"\x08", bytes([REPLY, 1]), {0: BYE}, "\x08", (8,)])
def test_only_an_array_is_a_message(msg):
    core = opened()
    assert core.receive(msg) is None
    assert (core.open, core.skipped) == (True, 1)


@pytest.mark.parametrize(
    "hello",
    [
        [HELLO, VERSION, PEER ^ 1, None, "many"],
        [HELLO, VERSION, PEER ^ 1, None, math.inf],
        [HELLO, VERSION, PEER ^ 1, None],
        [HELLO, VERSION, None, None, 4096],
        [HELLO, VERSION, [PEER], None, 4096],
        [HELLO, VERSION, PEER ^ 8, None, 4096],
        [HELLO, VERSION, PEER | 1 << 32, None, 4096],
        [HELLO, VERSION + 1],
    ],
)
def test_a_malformed_hello_changes_nothing(hello):
    core = opened()
    core.call("ours", ["x"], b"")
    before = state(core)
    assert core.receive(hello) is None
    assert state(core) == before
    assert (core.skipped, core.out) == (1, [])


@pytest.mark.parametrize(
    "msg",
    [
        [HELLO, VERSION, PEER, 1 | ID_BITS, 4096, {}],
        [CALL, 7, ["x"], b"", None],
        [CANCEL, 1],
        [CREDIT, 1, 5],
        [REPLY, 1, b""],
        [ERROR, 1, ["ValueError"]],
        [ITEM, 1, b""],
        [BYE],
    ],
)
def test_elements_beyond_the_known_ones_are_ignored(msg):
    events = []
    for extra in ([], ["new", {"in": 2}, None]):
        core = opened()
        core.call("ours", ["x"], b"", 9)
        called(core, 1, 9)
        events.append(core.receive(msg + extra))
        assert core.skipped == 0
    assert events[0] == events[1]


def test_without_a_session_nothing_is_accepted_but_a_hello_is_sent():
    core = Requests(5)
    for _ in range(3):
        assert core.receive([CALL, 1, ["x"]]) is None
    assert core.out == [core.hello()]
    assert core.skipped == 3
    with pytest.raises(LinkLost, match="no session"):
        core.call("ours", ["x"], b"")


# ---- limits


def test_more_calls_than_may_run_are_refused():
    core = opened(max_served=2)
    called(core, 1)
    called(core, 2)
    assert core.receive([CALL, 5, ["x"]]) is None
    assert core.out == [[ERROR, 5, ["BusyError", "2 calls are being served already"]]]
    assert len(core.served) == 2
    core.reply(1, b"")
    called(core, 5)


def test_an_id_is_free_again_when_the_callee_has_let_go_of_it():
    core = opened()
    idents = [core.call(i, ["x"], b"")[0] for i in range(255)]
    assert sorted(idents) == list(range(1, 256))
    with pytest.raises(BusyError, match="255 calls"):
        core.call("more", ["x"], b"")
    assert core.cancel(77, 76) == [CANCEL, 77]
    with pytest.raises(BusyError):
        core.call("more", ["x"], b"")
    assert core.receive([ERROR, 77, ["CancelledError"]]) is None
    assert core.call("more", ["x"], b"")[0] == 77
    # Who used the id before has no power over it.
    assert core.cancel(77, 76) is None
    assert core.grant(77, 76, 5) is None
    assert core.receive([REPLY, 77, b"!"]) == (REPLY, "more", b"!")


def test_a_call_that_is_too_long_leaves_no_trace():
    core = opened(peer_limit=100)
    with pytest.raises(MessageTooLongError, match="the peer takes 76"):
        core.call("ours", ["x"], bytes(100))
    assert core.calls == {}
    assert core.call("ours", ["x"], b"")[0] == 1


def test_a_reply_that_is_too_long_can_still_become_an_error():
    core = opened(peer_limit=100)
    called(core)
    with pytest.raises(MessageTooLongError):
        core.reply(1, bytes(100))
    with pytest.raises(MessageTooLongError):
        core.item(1, bytes(100))
    assert 1 in core.served
    assert core.error(1, ["MessageTooLongError", "100"])[0] == ERROR
    assert core.served == {}


paths = st.lists(st.text(max_size=30) | st.binary(max_size=30) | st.integers(0, 99), max_size=20)


@given(st.integers(0, 400), paths, st.binary(max_size=400), st.none() | st.integers(0, 2**32))
def test_what_is_sent_fits_the_peer(peer_limit, path, data, credit):
    core = opened(peer_limit)
    core.receive([CALL, 2**64 - 1, ["x"]])
    for make in (
        lambda: core.call("ours", path, data, credit)[1],
        lambda: core.item(2**64 - 1, data),
        lambda: core.reply(2**64 - 1, data),
    ):
        try:
            msg = make()
        except MessageTooLongError:
            continue
        assert len(packb(msg)) <= peer_limit


args = st.text(max_size=600) | st.binary(max_size=600) | st.integers(-(2**63), 2**64 - 1)


@given(st.integers(250, 3000), st.text(max_size=60), st.lists(args | st.none(), max_size=5))
def test_an_error_is_shortened_until_it_fits(peer_limit, name, args):
    core = opened(peer_limit)
    called(core, 2**64 - 1)
    msg = core.error(2**64 - 1, [name, *args])
    assert len(packb(msg)) <= peer_limit
    whole = packb([name, *args])
    if len(whole) * 4 + 60 + 9 * len(args) < peer_limit:
        assert msg[2] == [name, *args]


def test_a_shortened_error_keeps_its_type_and_the_start_of_its_text():
    core = opened(1000)
    called(core)
    _, _, err = core.error(1, ["NotFoundError", "no such thing; " * 500])
    assert err[0] == "NotFoundError"
    assert err[1].startswith("no such thing; no such thing; ")
    assert err[1].endswith("...")


def test_every_kind_has_one_meaning():
    assert sorted(_request.Requests._TABLE) == [CALL, REPLY, ERROR, ITEM, CREDIT, CANCEL]
