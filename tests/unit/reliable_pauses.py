"""More cases of the reliable protocol: long pauses, long ways, windows, channels."""

from __future__ import annotations

from typing import Any

from moat.micro.errors import LinkLost
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import OPEN
from moat.micro.testing.simulation import Link, Simulation
from tests.unit.reliable_cases import CASES, opened, stream
from tests.unit.reliable_ends import ENDS


def who_has_slept_does_not_give_up(core: Any) -> None:
    """Nothing was heard because nobody has listened; what arrived meanwhile is there."""
    slow = Options(silence_ms=60_000)
    sim = Simulation(1, (Options(silence_ms=3000, keepalive_ms=1000), slow), core=core)
    sim.run(1000)
    a, b = sim.ends
    b.send("before")
    a.sleep(30_000)
    sim.run(sim.exact + 20_000)
    for n in range(3):
        b.send(n)
    sim.run(sim.exact + 40_000)
    assert a.received == ["before", 0, 1, 2]
    assert a.core.state() == b.core.state() == OPEN


def a_peer_that_has_gone_while_we_slept_is_noticed(core: Any) -> None:
    sim = opened(core, silence_ms=3000, keepalive_ms=1000)
    a, _ = sim.ends
    sim.link.cut = True
    a.sleep(30_000)
    sim.run(sim.exact + 30_000)
    assert a.core.state() == OPEN
    sim.run(sim.exact + 4100)
    assert isinstance(a.core.ended, LinkLost)


def a_long_way_costs_no_repetitions(core: Any) -> None:
    """Only those until the first round trip has been measured (Karn)."""
    sim = Simulation(1, Options(window=4), Link(delay_ms=1500), core=core)
    a, b = sim.ends
    sim.run(20_000, lambda: all(end.core.state() == OPEN for end in sim.ends))
    for n in range(40):
        a.send(n)
        sim.run(sim.exact + 4000)
    assert b.received == list(range(40))
    assert b.core.receiver.duplicates <= 12


def a_long_way_does_not_keep_the_ends_apart(core: Any) -> None:
    """Frames of the old session come until the peer has heard of the new one, and answered."""
    sim = opened(core)
    a, b = sim.ends
    tag = a.core._handshake.out_tag
    sim.link.delay_ms = 1000
    b.restart()
    sim.run(sim.exact + 10_000, lambda: b.core.state() == OPEN)
    for _ in range(19):
        b.arrive([tag, 0, 8, 0, 0, "old"])
        sim.run(sim.exact + 100)
    sim.run(sim.exact + 200)
    assert b.core._handshake.confirmed
    assert [len(a.received), len(b.received)] == [1, 0]


def a_way_that_grows_longer_costs_few_repetitions(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    for n in range(40):
        if n == 10:
            sim.link.delay_ms = 1500
        a.send(n)
        sim.run(sim.exact + 4000)
    assert b.received == list(range(40))
    assert b.core.receiver.duplicates <= 12


def a_long_way_is_learned_without_a_pause(core: Any) -> None:
    """The answers to repetitions come when the next message is under way already."""
    for window, duplicates in ((1, 15), (8, 25)):
        sim = opened(core, window=window, queue=50)
        a, b = sim.ends
        sim.link.delay_ms = 1000
        for n in range(50):
            a.send(n)
        sim.run(sim.exact + 150_000)
        assert b.received == list(range(50))
        assert b.core.receiver.duplicates <= duplicates


def losses_do_not_add_up(core: Any) -> None:
    """An answer to what was sent twice is no measure, but it shows that the link works."""
    sim = opened(core, window=1)
    a, b = sim.ends
    for n in range(30):
        sim.link.cut = True
        a.send(n)
        sim.run(sim.exact + 10)
        sim.link.cut = False
        sim.run(sim.exact + 200)
        assert b.received == list(range(n + 1))


def a_little_loss_costs_little(core: Any) -> None:
    """Of a serial line of 115200 baud: no fixed timer, no window that stands still."""
    times = []
    for loss in (0, 0.01):
        link = Link(loss=loss, rate=11520, size=lambda frame: 120 if len(frame) > 5 else 20)
        sim = opened(core, Link(rate=11520, size=link.size), window=16)
        sim.link = link
        a, b = sim.ends
        start = sim.exact
        stream(a, 1000)
        sim.run(sim.exact + 1e6, lambda b=b: len(b.received) == 1000)
        assert b.received == list(range(1000))
        times.append(sim.exact - start)
    assert times[1] < times[0] * 1.05


def asking_for_credit_does_not_slow_the_rest(core: Any) -> None:
    """A reader pauses for long; when it goes on, what gets lost is soon sent again."""
    sim = opened(core, window=2)
    a, b = sim.ends
    b.reading = False
    for n in range(4):
        a.send(n)
    sim.run(sim.exact + 60_000)
    assert 2 < a.sent_frames < 30
    assert a.core.sender.rtt.rto < 200


def news_of_credit_that_are_lost_are_asked_for(core: Any) -> None:
    sim = opened(core, window=2)
    a, b = sim.ends
    b.reading = False
    for n in range(4):
        a.send(n)
    sim.run(sim.exact + 500)
    sim.link.cut = True
    b.reading = True
    b.wake()
    sim.run(sim.exact + 10)
    sim.link.cut = False
    sim.run(sim.exact + 1000)
    assert b.received == [0, 1, 2, 3]


def the_smaller_window_counts(core: Any) -> None:
    for one, other in ((2, 8), (8, 2)):
        sim = Simulation(1, (Options(window=one), Options(window=other)), core=core)
        sim.run(1000)
        a, b = sim.ends
        sim.link.cut = True
        for n in range(4):
            a.send(n)
        sim.run(sim.exact + 10)
        assert a.core.sender.sent_end == 2
        sim.link.cut = False
        sim.run(sim.exact + 1000)
        assert b.received == [0, 1, 2, 3]


def a_link_that_is_down_has_a_limit_of_its_own(core: Any) -> None:
    sim = opened(core, silence_ms=3000, keepalive_ms=1000, down_ms=20_000)
    a, b = sim.ends
    sim.unplug()
    a.send("later")
    sim.run(sim.exact + 18_000)
    assert a.core.state() == OPEN
    sim.plug()
    sim.run(sim.exact + 100)
    assert b.received == ["later"]
    sim.unplug()
    a.send("never")
    sim.run(sim.exact + 20_100)
    assert isinstance(a.core.ended, LinkLost)


def a_channel_keeps_the_place_of_the_older_value(core: Any) -> None:
    sim = Simulation(1, Options(window=1, queue=4), Link(cut=True), core=core)
    a, b = sim.ends
    a.send("first", "x")
    a.send("log")
    a.send("other", "y")
    a.send("last")
    assert a.send("full") is None
    assert a.send("newer", "x") == 0
    assert a.send("newest", "x") == 0
    sim.link.cut = False
    sim.run(5000)
    assert b.received == ["newest", "log", "other", "last"]


def what_was_sent_is_not_replaced(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    sim.link.cut = True
    a.send(1, "x")
    sim.run(sim.exact + 10)
    a.send(2, "x")
    sim.link.cut = False
    sim.run(sim.exact + 1000)
    assert b.received == [1, 2]


ALL = (
    CASES
    | ENDS
    | {
        name: case
        for name, case in list(globals().items())
        if getattr(case, "__module__", "") == __name__
    }
)
