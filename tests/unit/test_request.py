"""The request protocol, one core at a time: sessions, and what becomes of calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb

from moat.micro.cmd import _wire
from moat.micro.cmd._request import REFUSED, SESSION, Requests
from moat.micro.cmd._wire import BEGUN, BYE, CALL, DONE, ERROR, HELLO, ID_BITS, RECENT, VERSION
from tests.unit.request_cases import (
    NEXT,
    OTHER,
    PEER,
    Ours,
    again,
    called,
    calling,
    names,
    opened,
    received,
    state,
)

# ---- hello


def test_a_hello_that_does_not_know_us_is_answered_and_one_that_does_opens():
    core = Requests(5)
    assert core.receive([HELLO, VERSION, PEER, None, 1000, {}]) == (SESSION, [], [])
    assert not core.open
    assert core.out == [[HELLO, VERSION, core.own, PEER, core.limit, {}]]
    core.out.clear()
    assert core.receive([HELLO, VERSION, PEER, core.own, 1000, {}]) == (SESSION, [], [])
    assert core.open
    assert core.peer_limit == 1000
    assert core.out == []


def test_the_same_hello_again_changes_nothing():
    core = opened()
    calling(core)
    assert core.receive([HELLO, VERSION, PEER, core.own, 4096, {}]) is None
    assert core.open
    assert core.calls
    assert core.out == []


@pytest.mark.parametrize("knows_us", [True, False])
def test_another_peer_ends_the_session(knows_us):
    core = opened()
    calling(core)
    called(core, 9)
    own = core.own
    event = received(core, HELLO, VERSION, OTHER, own if knows_us else None, 4096, {})
    assert (event[0], names(event[1]), event[2]) == (
        SESSION, [("ours", "CallUnknownError")], ["served 9"],
    )  # fmt: skip
    assert state(core) == (OTHER, 4096, False, {}, {})
    assert core.own == (own + 1) | 8
    assert core.out == [core.hello()]


def test_a_peer_that_has_forgotten_us_ends_the_session():
    core = opened()
    calling(core)
    event = received(core, HELLO, VERSION, PEER, None, 4096, {})
    assert event == (SESSION, [], [])  # what has become of it is not known yet
    assert not core.open
    assert core.calls == {}
    assert core.out == [core.hello()]


def test_a_bye_ends_the_session():
    core = opened()
    calling(core)
    called(core, 3)
    event = received(core, BYE)
    assert names(event[1]) == [("ours", "CallUnknownError")]
    assert event[2] == ["served 3"]
    assert not core.open
    assert core.peer is None


def test_a_bye_of_somebody_else_does_not_take_our_hello_away():
    core = Requests(1)
    core.out.append(core.hello())
    assert core.receive([BYE]) == (SESSION, [], [])
    assert core.out == [core.hello()]


def test_a_lost_link_ends_the_session_and_drops_what_was_to_be_sent():
    core = opened()
    core.out.append(core.call(Ours(), ["x"], b"")[1])
    event = core.lost()
    assert names(event[1]) == [("ours", "CallNotRunError")]
    assert core.out == []
    assert core.lost() == (SESSION, [], [])


def test_each_session_has_its_own_id():
    core, seen = opened(), []
    for n in range(300):
        seen.append(core.own)
        core.lost()
        core.lost()  # there is none now
        core.receive([HELLO, VERSION, PEER, core.own, 4096, {}])
        assert core.open
        assert 3 not in packb(core.hello()), n
    assert seen[:128] == seen[128:256]
    assert len(set(seen)) == 128
    assert len({own >> 8 for own in seen}) == 1


@pytest.mark.parametrize("version", [0, 1, 99, None, "1"])
def test_another_version_is_refused_by_name_and_answered_once(version):
    core = opened()
    calling(core)
    called(core, 5)
    hello = [HELLO, version, OTHER, "whatever"]
    event = received(core, *hello)
    assert (event[0], names(event[1]), event[2]) == (
        REFUSED, [("ours", "CallUnknownError")], ["served 5"],
    )  # fmt: skip
    assert (
        str(event[3]) == f"the peer speaks version {version} of the protocol, this end {VERSION}"
    )
    assert not core.open
    event = received(core, *hello)
    assert event[:3] == (REFUSED, [], [])
    assert core.out == [core.hello()]


def test_a_peer_that_fits_may_come_after_one_that_does_not():
    core = Requests(5)
    core.receive([HELLO, VERSION + 1, PEER])
    event = received(core, HELLO, VERSION, OTHER, core.own, 100)
    assert event == (SESSION, [], [])
    assert core.open


def test_an_echoing_line_is_no_peer():
    core = opened()
    old = core.hello()
    core.lost()
    core.out.clear()
    for hello in (old, core.hello()):
        assert core.receive(hello) is None
    assert (core.peer, core.open, core.out, core.skipped) == (None, False, [], 2)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_a_hello_contains_no_ctrl_c(own, peer, limit):
    core = Requests(own, limit)
    assert 3 not in packb(core.hello())
    core.receive([HELLO, VERSION, peer | ID_BITS, None, 5])
    assert core.peer is not None or (core.own ^ (peer | ID_BITS)) < 256
    assert 3 not in packb(core.hello())
    assert limit * 0.74 <= core.limit <= limit or limit == 3


@given(
    st.lists(st.sampled_from(["call", "end", "vague"]), max_size=150),
    st.integers(0, 255),
)
def test_a_hello_that_tells_of_calls_contains_none_either(what, start):
    core, peer = opened(max_served=100), opened()
    peer.last = start
    for step in what:
        if step == "call" and len(peer.calls) < 95:
            ident = calling(peer)
            core.receive([CALL, ident, ["x"]])
        elif core.served:
            ident = next(iter(core.served))
            core.error(ident, ["E"], None, step != "vague")
            peer.receive([ERROR, ident, ["E"]])
    core.lost()
    assert 3 not in packb(core.hello())
    assert len(packb(core.hello())) <= 24 + 5 + 2 * 100


def test_no_constant_of_the_protocol_is_ctrl_c():
    numbers = [v for v in vars(_wire).values() if isinstance(v, int)]
    assert 3 not in numbers


# ---- what becomes of calls


def test_a_hello_tells_what_has_become_of_calls():
    core = opened()
    for ident in (7, 8, 9):
        called(core, ident)
    core.receive([CALL, 0, ["x"]])
    core.reply(8, b"")
    core.error(9, ["E"], None, False)
    core.lost()
    told = {DONE: b"\x08", BEGUN: b"\x07\x09"}
    assert core.hello()[5] == told
    core.lost()
    core.receive([HELLO, VERSION, PEER, None, 4096, {}])
    assert core.out[-1][5] == told
    core.receive([HELLO, VERSION, PEER, core.own, 4096, {}])
    assert core.hello()[5] == {}


def test_it_tells_of_the_last_calls():
    core = opened()
    for n in range(100):
        called(core, 100 + n)
        core.reply(100 + n, b"")
    core.lost()
    assert core.hello()[5] == {DONE: bytes(range(200 - RECENT, 200)), BEGUN: b""}


def test_three_ids_are_told_as_four():
    core = opened()
    for ident in (7, 8, 9):
        called(core, ident)
    core.lost()
    assert core.hello()[5] == {DONE: b"", BEGUN: b"\x07\x08\x09\x09"}


def test_another_peer_is_told_nothing():
    core = opened()
    called(core, 7)
    core.lost()
    core.receive([HELLO, VERSION, OTHER, None, 4096, {}])
    assert core.hello()[5] == {}


def test_a_stranger_between_does_not_make_us_forget():
    core = opened()
    called(core, 7)
    core.receive([HELLO, VERSION + 1, OTHER])
    assert core.hello()[5] == {DONE: b"", BEGUN: b"\x07"}


def lost_calls(n=3):
    """A core whose calls were lost with the session; their ids."""
    core = opened()
    idents = [calling(core, i) for i in range(n)]
    assert core.lost() == (SESSION, [], [])
    return core, idents


def test_the_next_hello_tells_of_ours():
    core, (one, two, _) = lost_calls()
    assert again(core, {DONE: bytes((one,)), BEGUN: bytes((two,))}) == [
        (0, "CallDoneError"), (1, "CallUnknownError"), (2, "CallNotRunError"),
    ]  # fmt: skip
    assert again(core, {}, NEXT + 1) == []


def test_a_call_that_was_too_long_ago_is_not_guessed():
    core, idents = lost_calls(RECENT + 2)
    assert idents[2] == 4  # none has 3
    ended = again(core, {DONE: bytes(idents[-1:])})
    kinds = [name for _, name in ended]
    assert kinds == ["CallUnknownError"] * 2 + ["CallNotRunError"] * (RECENT - 1) + [
        "CallDoneError"
    ]


def test_a_peer_that_has_started_anew_knows_nothing():
    core, _ = lost_calls(1)
    assert again(core, {DONE: b"\x01"}, OTHER) == [(0, "CallUnknownError")]


def test_a_hello_of_the_session_itself_tells_nothing():
    core, _ = lost_calls(1)
    assert again(core, {DONE: b"\x01"}, PEER) == []
    event = received(core, HELLO, VERSION, PEER, core.own, 4096, {DONE: b"\x01"})
    assert names(event[1]) == [(0, "CallNotRunError")]  # it never had that session
    assert core.open


@pytest.mark.parametrize("features", [None, [], 5, {DONE: 5, BEGUN: "x"}, {77: b"\x01"}, {}])
def test_a_hello_without_features_that_make_sense(features):
    core, _ = lost_calls(1)
    kind = "CallNotRunError" if isinstance(features, dict) else "CallUnknownError"
    assert again(core, features) == [(0, kind)]


def test_a_call_that_nobody_waits_for_any_more_is_not_told():
    core, (one, *_) = lost_calls(1)
    (call,) = core.outcomes._doubt.values()
    assert core.cancel(one, call) is None
    assert again(core, {}) == []


def test_at_the_end_of_the_link_what_is_in_doubt_stays_unknown():
    core, _ = lost_calls(1)
    event = core.lost(True, "cut")
    assert names(event[1]) == [(0, "CallUnknownError")]
    assert (
        str(event[1][0][1][1]) == "the call may have been run: the peer has left or started anew"
    )
