"""The request protocol, one core at a time: all that is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb

from moat.micro.cmd import _checks, _request
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
    ITEM,
    KEEP,
    RECENT,
    REPLY,
    ROOM,
    TRACE,
    TRACEBACK,
)
from moat.micro.errors import BusyError, MessageTooLongError, NotFoundError
from tests.unit.request_cases import Ours, again, called, calling, opened, received

# ---- calls without a reply


def test_a_call_without_an_id_gets_no_reply():
    core = opened()
    msg = [CALL, 0, ["x"], b"\x91\x01"]
    assert core.receive(msg) == (CALL, -1, msg)
    core.served[-1] = "one"
    assert received(core, CALL, 0, ["x"])[1] == -2
    assert core.reply(-1, b"\x01") is None
    assert core.error(-2, ["ValueError"]) is None
    assert core.served == {}
    assert received(core, CALL, 0, ["x"])[1] == -1


def test_it_has_none_at_the_caller_either():
    core = opened()
    assert core.call(None, ["x"], b"\x91\x01") == (0, [CALL, 0, ["x"], b"\x91\x01"])
    assert core.calls == {}
    core.lost()
    assert again(core, {}) == []


def test_notices_are_bounded_at_both_ends():
    core = opened(max_served=2)
    called(core, 1)
    assert core.receive([CALL, 0, ["x"]]) is not None
    assert core.receive([CALL, 0, ["x"]]) is None
    assert (core.out, core.skipped) == ([], 0)
    core.out += [[BYE]] * 64  # others do not count
    core.out += [core.call(None, ["x"], b"")[1]] * 63
    core.out.append(core.call(None, ["x"], b"")[1])
    with pytest.raises(BusyError, match="64 calls without a reply"):
        core.call(None, ["x"], b"")


# ---- limits


def test_more_calls_than_may_run_are_refused():
    core = opened(max_served=2)
    called(core, 1)
    called(core, 2)
    assert core.receive([CALL, 5, ["x"]]) is None
    assert core.out == [[ERROR, 5, ["BusyError", "2 calls are served already"]]]
    assert len(core.served) == 2
    core.out.clear()
    core.reply(1, b"")
    called(core, 5)


def test_a_call_counts_until_its_reply_has_left():
    core = opened(max_served=2)
    for ident in (1, 2):
        called(core, ident)
        core.out.append(core.reply(ident, b""))
    assert core.receive([CALL, 5, ["x"]]) is None
    assert core.out[-1][:2] == [ERROR, 5]
    del core.out[:]
    called(core, 5)


def test_who_does_not_listen_causes_no_more_than_a_message_for_each_id():
    core = opened(max_served=2)
    for _ in range(20):
        for ident in range(1, 256):
            event = core.receive([CALL, ident, ["x"]])
            if event:
                core.out.append(core.reply(ident, b""))
    assert len(core.out) <= 256


def test_a_call_that_was_ended_early_counts_while_its_command_runs():
    core = opened(max_served=1)
    called(core, 7)
    number = core.detach(7)
    assert core.error(7, ["TimeoutError"]) == [ERROR, 7, ["TimeoutError"]]
    assert core.served == {number: "served 7"}
    assert core.receive([CALL, 8, ["x"]]) is None
    assert core.detach(number) == number
    assert core.error(number, ["CancelledError"]) is None
    core.out.clear()
    called(core, 8)


def test_credit_is_added_to_what_waits():
    core = opened()
    core.out += [core.grant(1, 5), core.grant(2, 7), core.room(1, 9)]
    assert core.grant(1, 6) is None
    assert core.room(1, 1) is None
    assert core.grant(2, _checks.MOST) is None
    assert core.out == [[CREDIT, 1, 11], [CREDIT, 2, _checks.MOST], [ROOM, 1, 10]]


def test_an_id_is_free_again_when_the_callee_has_let_go_of_it():
    core = opened()
    calls = [Ours(n) for n in range(95)]
    idents = [core.call(call, ["x"], b"")[0] for call in calls]
    assert len(set(idents)) == 95
    with pytest.raises(BusyError, match="95 calls"):
        calling(core)
    assert core.cancel(77, calls[75]) == [CANCEL, 77]
    assert core.cancel(77, calls[75]) is None
    with pytest.raises(BusyError):
        calling(core)
    assert core.receive([ERROR, 77, ["CancelledError"]]) is None
    assert calling(core, "next") == 97
    # Who used the id before has no power over it.
    assert not core.mine(77, calls[75])
    assert core.cancel(97, calls[75]) is None
    assert core.receive([REPLY, 97, b"!"]) == (REPLY, "next", b"!", None)


def test_an_id_comes_again_when_nobody_can_take_it_for_the_last_one():
    core, last, n = opened(), {}, 0
    held = [calling(core) for _ in range(94)]
    while n < 1000:
        n += 1
        ident = calling(core)
        assert ident not in held
        assert ident not in (0, 3)
        assert n - last.get(ident, -999) >= 254 - 94 > RECENT + 95 - 1
        last[ident] = n
        core.receive([REPLY, ident])


def test_a_call_that_is_too_long_leaves_no_trace():
    core = opened(peer_limit=100)
    for path, data, opts in (
        (["x"], bytes(100), None),
        (["x" * 100], b"", None),
        ("x" * 100, b"", None),
        (["x"], b"", {TRACE: ["x" * 100]}),
    ):
        with pytest.raises(MessageTooLongError, match="the peer takes 76"):
            core.call(Ours(), path, data, None, opts)
    assert core.calls == {}
    assert calling(core) == 1


def test_a_reply_that_is_too_long_can_still_become_an_error():
    core = opened(peer_limit=100)
    called(core)
    for data, opts in ((bytes(100), None), (b"", {TRACE: ["x" * 100]})):
        with pytest.raises(MessageTooLongError):
            core.reply(1, data, opts)
    for send in (core.item, core.feed):
        with pytest.raises(MessageTooLongError):
            send(1, bytes(100))
    assert 1 in core.served
    assert (core.error(1, ["MessageTooLongError", "100"]) or [0])[0] == ERROR
    assert core.served == {}


def test_what_is_nested_too_deep_is_too_long():
    core, deep = opened(), []
    for _ in range(5000):
        deep = [deep]
    called(core)
    with pytest.raises(MessageTooLongError):
        core.reply(1, b"", {TRACE: deep})
    with pytest.raises(MessageTooLongError):
        core.call(Ours(), ["x"], b"", None, {TRACE: deep})
    with pytest.raises(NotFoundError):
        core.call(Ours(), deep, b"")
    assert core.error(1, ["E", deep], {AT: deep}) == [ERROR, 1, ["E", "..."]]


def test_the_limit_of_the_line_counts_too():
    core = opened(peer_limit=1000, send_limit=100)
    assert core.peer_limit == 100
    assert opened(peer_limit=50, send_limit=100).peer_limit == 50


paths = st.lists(st.text(max_size=30) | st.integers(-(2**63), 2**64 - 1), max_size=20)
some_options = st.none() | st.fixed_dictionaries(
    {},
    optional={
        DEADLINE: st.integers(0, 2**28),
        TRACE: paths,
        KEEP: st.integers(0, 2**32),
        TRACEBACK: st.text(max_size=50) | st.booleans(),
        AT: st.lists(st.integers(0, 300), max_size=9),
        "unknown": paths,
    },
)


@given(
    st.integers(0, 400),
    paths | st.text(max_size=50),
    st.binary(max_size=400),
    st.none() | st.integers(0, 2**32),
    some_options,
)
def test_what_is_sent_fits_the_peer(peer_limit, path, data, credit, opts):
    core = opened(peer_limit)
    core.last = 254
    core.receive([CALL, 255, ["x"]])
    for make in (
        lambda: core.call(Ours(), path, data, credit, opts)[1],
        lambda: core.item(255, data, 2**32 - 1),
        lambda: core.feed(255, data, 2**32 - 1),
        lambda: core.reply(255, data, opts),
    ):
        try:
            msg = make()
        except MessageTooLongError:
            continue
        assert len(packb(msg)) <= peer_limit


args = st.text(max_size=600) | st.binary(max_size=600) | st.integers(-(2**63), 2**64 - 1)


@given(
    st.integers(250, 3000),
    st.text(max_size=60),
    st.lists(args | st.none(), max_size=5),
    some_options,
)
def test_an_error_is_shortened_until_it_fits(peer_limit, name, args, opts):
    core = opened(peer_limit)
    called(core, 255)
    msg = core.error(255, [name, *args], opts)
    assert msg is not None
    assert len(packb(msg)) <= peer_limit
    whole = packb([name, *args])
    if len(whole) * 4 + 60 + 9 * len(args) < peer_limit:
        assert msg[2] == [name, *args]


def test_a_shortened_error_keeps_its_type_and_the_start_of_its_text():
    core = opened(1000)
    called(core)
    err = (core.error(1, ["NotFoundError", "no such thing; " * 500], {AT: [1]}) or [])[2]
    assert err[0] == "NotFoundError"
    assert err[1].startswith("no such thing; no such thing; ")
    assert err[1].endswith("...")


def test_options_go_before_an_error_is_shortened():
    core = opened(1000)
    called(core)
    err = ["NotFoundError", "no such thing; " * 30]
    assert core.error(1, err, {TRACEBACK: "x" * 800}) == [ERROR, 1, err]


def test_every_kind_has_one_meaning():
    kinds = {CALL, REPLY, ERROR, ITEM, CREDIT, CANCEL, FEED, ROOM, FED}
    assert set(_request.Requests._TABLE) == kinds
    assert len(kinds | {HELLO, BYE}) == 11
