"""Two cores of the request protocol: whatever happens, in any order; see request_model.py."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moat.micro.cmd._request import REFUSED, Requests
from moat.micro.cmd._wire import HELLO, VERSION
from tests.unit.request_model import DONE, NOT_RUN, UNKNOWN, Cores, load
from tests.unit.request_stories import STORIES, opened
from tests.unit.request_world import machine

SMALL, REAL = load(), load(small=False)

TestPair = machine(SMALL).TestCase
TestPair.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)

TestKeys = machine(replace(load(), keys=True)).TestCase
TestKeys.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)

TestRealLimits = machine(REAL).TestCase
TestRealLimits.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("cores", [SMALL, REAL], ids=["small", "real"])
def test_story(story: Callable[[Cores], None], cores: Cores) -> None:
    story(cores)


@given(
    before=st.integers(0, 300),
    arrived=st.integers(0, 95),
    ended=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["reply", "vague"]))),
    after=st.integers(0, 95),
)
@settings(deadline=None, max_examples=50)
def test_what_is_told_of_many_calls(before, arrived, ended, after):
    """Ids come again; `arrived` calls are received, `after` others are lost with the line."""
    world = opened(REAL)
    a, b = world.ends
    for _ in range(before):
        a.call(None, False)
        world.deliver(side=1, n=9)
        b.end(0, "reply")
        world.deliver(side=0, n=9)
    for _ in range(arrived):
        a.call(None, False)
        world.deliver(side=1, n=1)
    for n, how in ended:
        if b.core.served:
            b.end(n % len(b.core.served), how)
    for _ in range(after):
        a.call(None, False)
    world.breaks((4095, 4095), (0, 1))
    world.drain()
    last = a.core.called
    for fate in a.calls[before:]:
        known = {DONE} if fate.ended else {UNKNOWN} if fate.arrived else {NOT_RUN}
        if fate.vague:
            known = {UNKNOWN}
        elif last - fate.order >= REAL.recent and not fate.arrived:
            known = {UNKNOWN, NOT_RUN}
        elif last - fate.order >= REAL.recent:
            known.add(UNKNOWN)
        assert fate.told in known


@given(st.data())
def test_two_versions_refuse_each_other_and_fall_silent(data):
    ends = [Requests(1 << 12), Requests(2 << 12)]
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
    assert all("99" in text and str(VERSION) in text for text in refused.values())
    assert not ends[0].open
    assert not ends[1].open
