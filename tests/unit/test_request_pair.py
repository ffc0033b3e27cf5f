"""Two cores of the request protocol, joined by two queues: whatever happens, in any order.

Each call carries a token that says which session made it. A reply carries the token of the
call that it is for, so a reply that reaches another call is seen.
"""

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgpack import packb, unpackb

from moat.micro.cmd import _request
from moat.micro.cmd._request import REFUSED, SESSION, Requests
from moat.micro.cmd._wire import BYE, CALL, CANCEL, CREDIT, HELLO, ITEM, REPLY
from moat.micro.errors import BusyError, LinkLost

SIDES = st.sampled_from([0, 1])
MAX_SERVED = 4
IDS = 6  # few, so that they are used again


@pytest.fixture(autouse=True, scope="module")
def _few_ids():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_request, "_IDS", IDS)
        yield


class End:
    """One end of the link, from its start until it is started anew."""

    def __init__(self, own):
        self.core = Requests(own, max_served=MAX_SERVED)
        self.line = deque()  # what the peer is going to receive
        self.ended = {}  # token of our calls -> how often it has ended
        self.idents = {}  # token of our calls -> id
        self.cancelled = set()
        self.ran = []  # tokens of the peer's calls
        self.credit = {}  # token -> granted, at the callee
        self.post(self.core.hello())

    def post(self, msg):
        self.core.out.append(msg)
        self.flush()

    def flush(self):
        self.line.extend(packb(msg) for msg in self.core.out)
        self.core.out.clear()

    def finish(self, token):
        self.ended[token] += 1
        assert self.ended[token] == 1

    def call(self, credit):
        core = self.core
        token = (core.own, core.peer, len(self.ended))
        try:
            ident, msg = core.call(token, ["x"], packb(token), credit)
        except BusyError:
            assert len(core.calls) == IDS
            return
        self.ended[token] = 0
        self.idents[token] = ident
        self.post(msg)

    def cancel(self, token):
        msg = self.core.cancel(self.idents[token], token)
        if msg is not None:
            self.cancelled.add(token)
            self.finish(token)
            self.post(msg)

    def receive(self, data):
        """Take a message and do what CmdMsg does about it."""
        event = self.core.receive(unpackb(data))
        if event is not None:
            self.event(*event)
        self.flush()

    def event(self, kind, *rest):
        if kind == SESSION:
            self.session(*rest)
        elif kind == CALL:
            self.serve(*rest)
        elif kind == CANCEL:
            self.core.out.append(self.core.error(self.served_id(rest[0]), ["CancelledError"]))
        elif kind == CREDIT:
            self.credit[rest[0]] += rest[1]
        else:
            self.answer(kind, *rest)

    def session(self, calls, served):
        for token in calls.values():
            if token is not None:
                self.finish(token)
        assert None not in served.values()

    def serve(self, ident, path, data, credit):
        token = tuple(unpackb(data))
        assert path == ["x"]
        # Made in this session, by this peer, and not seen before.
        assert token[:2] == (self.core.peer, self.core.own)
        assert token not in self.ran
        self.ran.append(token)
        self.core.served[ident] = token
        self.credit[token] = credit

    def served_id(self, token):
        (ident,) = [ident for ident, t in self.core.served.items() if t == token]
        return ident

    def answer(self, kind, token, value):
        assert token not in self.cancelled
        assert token[:2] == (self.core.own, self.core.peer)
        if kind == ITEM:
            assert self.ended[token] == 0
            assert tuple(unpackb(value)) == token
            return
        if kind == REPLY:
            assert tuple(unpackb(value)) == token
        else:
            assert value[0] == "BusyError" or tuple(value[1:]) == token
        self.finish(token)

    def end_served(self, n, reply):
        token = list(self.core.served.values())[n % len(self.core.served)]
        ident = self.served_id(token)
        if reply:
            self.post(self.core.reply(ident, packb(token)))
        else:
            self.post(self.core.error(ident, ["ValueError", *token]))


class Pair(RuleBasedStateMachine):
    """Two ends that live through everything that may happen to them."""

    def __init__(self):
        super().__init__()
        self.ends: list[Any] = [None, None]  # Ends, once they are started
        self.started = 0

    def in_session(self, side):
        return self.ends[side] is not None and self.ends[side].core.open

    # ---- the life of an end

    @initialize(first=SIDES, both=st.booleans())
    def begin(self, first, both):
        self.start(first, False)
        if both:
            self.start(1 - first, False)
            self.drain()

    def start(self, side, heard):
        """Start, or start anew; what was said before may still arrive."""
        before = self.ends[side]
        self.started += 1
        self.ends[side] = end = End(self.started << 4)
        if before is not None and heard:
            end.line.extendleft(reversed(before.line))

    def leave(self, side):
        if self.in_session(side):
            self.ends[side].post([BYE])
        self.start(side, True)

    def link_breaks(self, *sides):
        """All that was on its way is lost; one end notices it, or both."""
        for end in filter(None, self.ends):
            end.line.clear()
        for side in sides:
            end = self.ends[side]
            if end is not None:
                end.event(*end.core.lost())
                end.post(end.core.hello())

    @rule(side=SIDES, what=st.sampled_from(["stop", "crash", "leave", "break", "cut"]))
    def disrupt(self, side, what):
        if what == "leave":
            self.leave(side)
        elif what == "break":
            self.link_breaks(side)
        elif what == "cut":
            self.link_breaks(0, 1)
        else:
            self.start(side, what == "stop")

    # ---- the line

    @rule(side=SIDES, n=st.integers(1, 4))
    def deliver(self, side, n):
        end, other = self.ends[side], self.ends[1 - side]
        while other is not None and other.line and n:
            data = other.line.popleft()
            if end is not None:
                end.receive(data)
            n -= 1

    # ---- calls

    @precondition(lambda self: self.in_session(0) or self.in_session(1))
    @rule(side=SIDES, credit=st.none() | st.integers(0, 99), n=st.integers(1, 4))
    def call(self, side, credit, n):
        if not self.in_session(side):
            side = 1 - side
        for _ in range(n):
            self.ends[side].call(credit)

    @rule(side=SIDES, n=st.integers(0, 99))
    @precondition(lambda self: any(end.core.calls for end in self.ends if end))
    def cancel(self, side, n):
        end = self.ends[side]
        if end is not None and end.ended:
            end.cancel(list(end.ended)[n % len(end.ended)])

    @rule(side=SIDES, n=st.integers(0, 99), reply=st.booleans())
    @precondition(lambda self: any(end.core.served for end in self.ends if end))
    def reply(self, side, n, reply):
        end = self.ends[side]
        if end is not None and end.core.served:
            end.end_served(n, reply)

    @rule(side=SIDES, n=st.integers(0, 99))
    @precondition(lambda self: any(end.core.served for end in self.ends if end))
    def item(self, side, n):
        end = self.ends[side]
        if end is not None and end.core.served:
            ident, token = list(end.core.served.items())[n % len(end.core.served)]
            end.post(end.core.item(ident, packb(token)))

    @rule(side=SIDES, n=st.integers(0, 99))
    @precondition(lambda self: any(end.core.calls for end in self.ends if end))
    def grant(self, side, n):
        end = self.ends[side]
        running = [t for t in (end.ended if end else ()) if t in end.core.calls.values()]
        if running:
            token = running[n % len(running)]
            msg = end.core.grant(end.idents[token], token, 5)
            assert msg is not None

    @precondition(lambda self: not self.in_session(0))
    @rule()
    def no_call_without_a_session(self):
        if self.ends[0] is not None:
            try:
                self.ends[0].core.call("x", ["x"], b"")
            except LinkLost:
                return
            raise AssertionError

    # ---- what holds

    @invariant()
    def tables_are_small(self):
        for end in filter(None, self.ends):
            assert len(end.core.served) <= MAX_SERVED
            assert len(end.core.calls) <= IDS
            assert bool(end.core.open) >= bool(end.core.calls or end.core.served)

    @precondition(lambda self: all(self.ends))
    @rule()
    def drain(self):
        """With all delivered there is a session, and both ends see the same calls."""
        waiting = sum(len(end.line) for end in self.ends)
        steps = 0
        while any(end.line for end in self.ends):
            for side in (0, 1):
                self.deliver(side, 1)
            steps += 1
            assert steps < 4 * waiting + 20, "they do not stop talking"
        a, b = (end.core for end in self.ends)
        assert a.open
        assert b.open
        assert (a.peer, b.peer) == (b.own, a.own)
        assert set(a.calls) == set(b.served)
        assert set(b.calls) == set(a.served)

    def teardown(self):
        for side in (0, 1):
            if self.ends[side] is None:
                self.start(side, True)
        self.drain()
        for end in self.ends:
            while end.core.served:
                end.end_served(0, True)
        self.drain()
        for end in self.ends:
            assert end.core.calls == {}
            assert end.core.served == {}
            assert set(end.ended.values()) <= {1}


TestPair = Pair.TestCase
TestPair.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@given(st.data())
def test_two_versions_refuse_each_other_and_fall_silent(data):
    ends = [Requests(1 << 8), Requests(2 << 8)]
    lines = [deque([ends[0].hello()]), deque([ends[1].hello()])]
    refused = {}
    for _ in range(20):
        ready = [side for side in (0, 1) if lines[1 - side]]
        if not ready:
            break
        side = data.draw(st.sampled_from(ready))
        msg = lines[1 - side].popleft()
        assert msg[0] == HELLO
        event = ends[side].receive([HELLO, 99, *msg[2:]])
        assert event is not None
        assert event[0] == REFUSED
        refused[side] = str(event[3])
        lines[side].extend(ends[side].out)
        ends[side].out.clear()
    assert lines == [deque(), deque()], "they do not stop talking"
    assert len(refused) == 2
    assert all("99" in text and "1" in text for text in refused.values())
    assert not ends[0].open
    assert not ends[1].open
