"""The core of the reliable protocol: two ends on a simulated link, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moat.micro.proto._options import Options
from moat.micro.proto._reliable import OPEN, Reliable
from moat.micro.testing.simulation import Link, Simulation
from tests.unit.reliable_cases import opened, stream
from tests.unit.reliable_model import constant, machine
from tests.unit.reliable_pauses import ALL

TestMachine = machine().TestCase
TestMachine.settings = settings(max_examples=2000, stateful_step_count=30, deadline=None)

TestOneEndWithoutRandomness = machine(nonces=constant(1), stale=False).TestCase
TestOneEndWithoutRandomness.settings = settings(
    max_examples=300, stateful_step_count=30, deadline=None
)


@pytest.mark.parametrize("case", ALL)
def test_case(case: str) -> None:
    ALL[case](None)


restarts = st.lists(
    st.tuples(st.sampled_from([0, 1, 5, 10, 50, 100, 300]), st.integers(0, 1), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(max_examples=1000, deadline=None)
@given(
    st.integers(0, 2**16),
    restarts,
    st.sampled_from([20, 100, 400, 900]),
    st.sampled_from([1, 5, 30]),
    st.sampled_from([0, 0.3]),
)
def test_restarts_and_late_frames_do_not_part_the_ends(
    seed: int, starts: list[tuple[int, int, bool]], late_ms: int, delay_ms: int, loss: float
) -> None:
    link = Link(loss=loss, duplicate=0.5, reorder=0.6, late_ms=late_ms, delay_ms=delay_ms)
    sim = Simulation(seed, link=link)
    for pause, who, sends in starts:
        sim.run(sim.exact + pause)
        sim.ends[who].restart()
        if sends:
            sim.ends[who].send("hello")
    sim.run(sim.exact + 1000)
    sim.link = Link()
    sim.run(sim.exact + 12_000)  # less than silence_ms
    assert [end.core.ended for end in sim.ends] == [None, None]
    for end in sim.ends:
        end.send("met")
    sim.run(sim.exact + 1000)
    assert all("met" in end.received for end in sim.ends)


# ---- frames, goodput


def test_a_stream_needs_few_acknowledgements() -> None:
    sim = opened(None, window=16)
    a, b = sim.ends
    stream(a, 1000)
    sim.run(sim.exact + 1e6, lambda: len(b.received) == 1000)
    assert (a.sent_frames + b.sent_frames) / 1000 <= 1.15


def test_replies_carry_the_acknowledgements() -> None:
    sim = opened(None, window=16)
    a, b = sim.ends
    b.on_message = b.send
    left = stream(a, 1000)
    sim.run(sim.exact + 1e6, lambda: not left and len(a.received) == 1000)
    assert (a.sent_frames + b.sent_frames) / 1000 <= 2.1


# ---- what is not a frame


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70) | st.text(max_size=3) | st.floats(),
    lambda sub: st.lists(sub, max_size=7),
    max_leaves=12,
)


@given(st.lists(st.tuples(junk, st.booleans()), max_size=20))
def test_junk_never_raises(frames: list[tuple[Any, bool]]) -> None:
    sim = opened(None)
    a, b = sim.ends
    for frame, mine in frames:
        if mine and isinstance(frame, list) and frame:
            frame[0] = a.core._handshake.tag
        a.arrive(frame)
        sim.run(sim.exact + 10)
    sim.run(sim.exact + 40_000)
    if a.core.ended is None and b.core.ended is None:
        a.received.clear()
        b.send("good")
        sim.run(sim.exact + 10_000)
        assert a.core.state() == OPEN
        assert "good" in a.received


@pytest.mark.parametrize("window", [0, 65, -1])
def test_a_window_that_is_none_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        Options(window=window)


def test_a_queue_without_room_is_refused() -> None:
    for queue in (0, -1):
        with pytest.raises(ValueError, match="room"):
            Options(queue=queue)
    assert Options(queue=1).queue == 1
    assert Options(window=5).queue == 10


@pytest.mark.parametrize("name", ["keepalive_ms", "silence_ms", "down_ms"])
def test_a_time_that_is_none_is_refused(name: str) -> None:
    for ms in (0, -1):
        times: dict[str, Any] = {name: ms}
        with pytest.raises(ValueError, match="positive"):
            Options(**times)
    assert Options(linger_ms=0).linger_ms == 0


def test_two_cores_may_have_different_windows() -> None:
    sim = Simulation(1, (Options(window=64), Options(window=1)), core=Reliable)
    a, b = sim.ends
    stream(a, 100)
    stream(b, 100)
    sim.run(1e6, lambda: len(a.received) == len(b.received) == 100)
    assert a.received == b.received == list(range(100))
