"""The request protocol, one core at a time: messages that make no sense, and new ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb

from moat.micro.cmd import _checks
from moat.micro.cmd._request import REFUSED, SESSION, Requests
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
    REPLY,
    ROOM,
    TRACE,
    TRACEBACK,
    VERSION,
)
from moat.micro.errors import CallNotRunError
from tests.unit.request_cases import OTHER, PEER, called, calling, names, opened, received, state

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
options = st.dictionaries(st.sampled_from([1, 2, 4, 5, 6, 77]) | st.text(max_size=2), anything)
shaped = st.tuples(st.integers(-1, 12), st.integers(0, 3) | anything).flatmap(
    lambda start: st.lists(anything | options, max_size=5).map(lambda rest: [*start, *rest])
)


@given(st.lists(shaped | anything, max_size=6), st.booleans())
def test_malformed_messages_are_skipped_and_counted(messages, is_open):
    core = opened() if is_open else Requests(1)
    if is_open:
        calling(core, "one")
        calling(core, "two", 100)
        core.cancel(2, core.calls[2])
        called(core, 1, 50)
    for msg in messages:
        before, skipped = state(core), core.skipped
        event = core.receive(msg)
        assert len(core.out) <= 2
        if core.skipped > skipped:
            assert event is None
            assert core.skipped == skipped + 1
            assert state(core) == before
        if event is not None:
            check(core, event)
        packb(core.hello())


def check(core, event):
    """Check what CmdMsg and Relay rely on."""
    kind, *rest = event
    if kind == CALL:
        ident, msg = rest
        assert -20 < ident < 256
        assert isinstance(msg[2], (list, str))
        assert len(msg) < 4 or isinstance(msg[3], bytes)
        assert len(msg) < 5 or msg[4] is None or msg[4] >= 0
        assert len(msg) < 6 or isinstance(msg[5].get(DEADLINE, 0), int)
        assert len(msg) < 6 or isinstance(msg[5].get(TRACE, []), list)
        core.served[ident] = f"served {ident}"
    elif kind in (CREDIT, FEED, CANCEL, FED):
        assert rest[0].startswith("served")
        assert all(0 <= n <= _checks.MOST for n in rest[1 + (kind == FEED) :])
        assert kind != FEED or isinstance(rest[1], bytes)
    elif kind in (ITEM, ROOM):
        assert rest[0] == "one"  # "two" was cancelled
        assert all(0 <= n <= _checks.MOST for n in rest[1 + (kind == ITEM) :])
        assert kind != ITEM or isinstance(rest[1], bytes)
    elif kind in (REPLY, ERROR):
        call, data, opts = rest
        assert call == "one"
        assert data is None or isinstance(data, bytes if kind == REPLY else list)
        assert kind == REPLY or (data and isinstance(data[0], str))
        for key, what in {TRACE: list, AT: list, TRACEBACK: str}.items():
            assert isinstance((opts or {}).get(key, what()), what)
    else:
        assert kind in (SESSION, REFUSED)
        assert all(isinstance(err[0], str) for _, err in rest[0])
        assert all(x.startswith("served") for x in rest[1])


@pytest.mark.parametrize("msg", [b"\x08", bytes([REPLY, 1]), {0: BYE}, "\x08", (8,)])
def test_only_an_array_is_a_message(msg):
    core = opened()
    assert core.receive(msg) is None
    assert (core.open, core.skipped) == (True, 1)


@pytest.mark.parametrize(
    "hello",
    [
        [HELLO, VERSION, OTHER, None, "many"],
        [HELLO, VERSION, OTHER, None, math.inf],
        [HELLO, VERSION, OTHER, None],
        [HELLO, VERSION, None, None, 4096],
        [HELLO, VERSION, [PEER], None, 4096],
        [HELLO, VERSION, PEER ^ 8, None, 4096],
        [HELLO, VERSION, PEER | 1 << 32, None, 4096],
        [HELLO, VERSION + 1],
        [HELLO, [VERSION], OTHER],
    ],
)
def test_a_malformed_hello_changes_nothing(hello):
    core = opened()
    calling(core)
    before = state(core)
    assert core.receive(hello) is None
    assert state(core) == before
    assert (core.skipped, core.out) == (1, [])


@pytest.mark.parametrize(
    "msg",
    [
        [HELLO, VERSION, PEER, 1 | ID_BITS, 4096, {}],
        [CALL, 7, ["x"], b"", None, {}],
        [CALL, 0, "x", b"", None, {}],
        [CANCEL, 1],
        [CREDIT, 1, 5],
        [FEED, 1, b"", 0],
        [FED, 1],
        [REPLY, 1, b"", {}],
        [ERROR, 1, ["ValueError"], {}],
        [ITEM, 1, b"", 0],
        [ROOM, 1, 5],
        [BYE],
    ],
)
def test_elements_beyond_the_known_ones_are_ignored(msg):
    events = []
    for extra in ([], ["new", {"in": 2}, None]):
        core = opened()
        calling(core, credit=9)
        called(core, 1, 9)
        event = core.receive(msg + extra)
        if event and event[0] == CALL:
            event = event[:2] + tuple(event[2][:6])
        elif event and event[0] == SESSION:
            event = (names(event[1]), event[2])
        events.append(event)
        assert core.skipped == 0
    assert events[0] == events[1]


def test_unknown_options_are_kept_for_those_behind():
    core = opened()
    msg = [CALL, 1, ["x"], b"", None, {77: [1], "new": 2}]
    assert core.receive(msg) == (CALL, 1, msg)
    calling(core)
    event = received(core, REPLY, 1, b"\x01", {77: [1]})
    assert event == (REPLY, "ours", b"\x01", {77: [1]})


@pytest.mark.parametrize(
    "options",
    [5, "x", [1], True, {DEADLINE: "1"}, {DEADLINE: None}, {TRACE: 5}, {KEEP: []}, {TRACEBACK: 1}],
)
def test_a_call_with_malformed_options_is_skipped(options):
    core = opened()
    assert core.receive([CALL, 1, ["x"], b"", None, options]) is None
    assert (core.skipped, core.served, core.out) == (1, {}, [])


@pytest.mark.parametrize("options", [5, [1], {TRACE: 5}, {AT: 1}, {TRACEBACK: True}, {}, None])
def test_malformed_options_of_an_end_are_ignored(options):
    core = opened()
    calling(core)
    assert core.receive([REPLY, 1, b"\x01", options]) == (REPLY, "ours", b"\x01", None)


@pytest.mark.parametrize(
    "msg",
    [
        [CALL, 256, ["x"]],
        [CALL, -1, ["x"]],
        [CALL, 1, ["x"]],
        [CALL, "1", ["x"]],
        [CALL, 2, 5],
        [CALL, 2],
        [CALL, 2, ["x"], b"", -1],
        [CALL, 2, ["x"], b"", "5"],
        [CALL, 2, ["x"], b"", 1 << 32],
        [CALL, 0, ["x"], b"", 5],
        [CANCEL, 2],
        [CANCEL, -1],
        [CREDIT, 1, -1],
        [CREDIT, 1, 1.5],
        [CREDIT, 1, 1 << 32],
        [CREDIT, 1],
        [FEED, 1],
        [FEED, 2, b""],
        [FEED, 1, b"", -1],
        [FED],
        [ROOM, 1, None],
        [ROOM, 2, 5],
        [ITEM, 1],
        [ITEM, 1, b"", "x"],
        [REPLY, 2],
        [ERROR],
        [3, 1],
        [99, 1],
        [],
    ],
)
def test_a_message_that_makes_no_sense_changes_nothing(msg):
    core = opened()
    calling(core, credit=9)
    called(core, 1, 9)
    core.receive([CALL, 0, ["x"]])
    before = state(core)
    assert core.receive(msg) is None
    assert state(core) == before
    assert (core.skipped, core.out) == (1, [])


@pytest.mark.parametrize("err", [None, [], [5], "ValueError", {"a": 1}, 7, [["ValueError"]]])
def test_what_is_no_error_ends_the_call_all_the_same(err):
    core = opened()
    calling(core)
    assert core.receive([ERROR, 1, err]) == (
        ERROR, "ours", ["ProtocolError", "malformed error from the peer"], None,
    )  # fmt: skip
    assert core.calls == {}


@pytest.mark.parametrize("data", [5, "x", [1], {}, False])
def test_what_is_no_encoded_value_is_one_that_cannot_be_decoded(data):
    core = opened()
    calling(core)
    called(core)
    broken = b"\x91"
    assert core.receive([ITEM, 1, data]) == (ITEM, "ours", broken, 0)
    assert core.receive([FEED, 1, data]) == (FEED, "served 1", broken, 0)
    assert core.receive([REPLY, 1, data]) == (REPLY, "ours", broken, None)


@pytest.mark.parametrize("rest", [[], [b""], [None], [b"", None]])
def test_a_reply_without_data_means_nil(rest):
    core = opened()
    calling(core)
    assert core.receive([REPLY, 1, *rest]) == (REPLY, "ours", None, None)


def test_without_a_session_nothing_is_accepted_but_a_hello_is_sent():
    core = Requests(5)
    for _ in range(3):
        assert core.receive([CALL, 1, ["x"]]) is None
    assert core.out == [core.hello()]
    assert core.skipped == 3
    with pytest.raises(CallNotRunError, match="no session"):
        calling(core)
