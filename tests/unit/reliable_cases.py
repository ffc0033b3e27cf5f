"""Single cases of the reliable protocol, each a function of the core; mutants get them, too."""

from __future__ import annotations

from typing import Any

from moat.micro.errors import LinkReset
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import OPEN, OPENING
from moat.micro.testing.simulation import End, Link, Simulation


def opened(core: Any, link: Link | None = None, **options: Any) -> Simulation:
    """Two ends in a session."""
    sim = Simulation(1, Options(**options), link or Link(), core=core)
    sim.run(1000)
    assert [end.core.state() for end in sim.ends] == [OPEN, OPEN]
    for end in sim.ends:
        end.sent_frames = 0
    return sim


def record(end: End) -> list[Any]:
    """Keep copies of the frames that `end` sends."""
    frames: list[Any] = []
    arrive = end.other.arrive

    def taken(frame: Any) -> None:
        frames.append(list(frame))
        arrive(frame)

    end.other.arrive = taken  # type: ignore[method-assign]
    return frames


def stream(end: End, count: int) -> list[int]:
    """Have `end` send so many messages as fast as it can; returns those that are left."""
    left = list(range(count))

    def more() -> None:
        while left and end.send(left[0]) is not None:
            del left[0]

    end.on_room = more
    end.wake()
    return left


def a_late_duplicate_is_not_delivered_again(core: Any) -> None:
    """Not even when the window has gone round several times."""
    sim = opened(core, window=4)
    a, b = sim.ends
    frames = record(a)
    for n in range(100):
        a.send(n)
        sim.run(sim.exact + 50)
        for frame in frames[:8] + frames[-30:]:
            End.arrive(b, list(frame))
            sim.run(sim.exact + 1)
        assert b.received == list(range(n + 1))


def an_old_acknowledgement_completes_nothing(core: Any) -> None:
    sim = opened(core, window=4)
    a, b = sim.ends
    frames = record(b)
    for n in range(12):
        a.send(n)
        sim.run(sim.exact + 50)
    sim.link.cut = True
    for n in range(4):
        a.send(n)
    for frame in frames:
        End.arrive(a, list(frame))
    sender = a.core.sender
    assert (sender.first, sender.end) == (12, 16)


def an_acknowledgement_of_the_future_ends_the_session(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    frames = record(b)
    a.send(1)
    sim.run(sim.exact + 100)
    tag, ack, room, bits = frames[-1][:4]
    for wrong in ([tag, ack + 1, room, bits], [tag, ack, room, 2]):
        sim = opened(core)
        end = sim.ends[0]
        end.send(1)
        sim.run(sim.exact + 100)
        wrong[0] = end.core._handshake.tag
        end.arrive(wrong)
        assert [type(m) for m in end.received] == [LinkReset]
        assert end.core.sessions == 1


def what_exceeds_the_credit_is_not_taken(core: Any) -> None:
    sim = opened(core, window=4)
    end = sim.ends[0]
    end.reading = False
    tag = end.core._handshake.tag
    for n in range(4):
        end.arrive([tag, 0, 4, 0, n, n])
    assert end.core.sessions == 0
    end.arrive([tag, 0, 4, 0, 4, 4])
    assert end.core.sessions == 1


def a_slow_reader_blocks_the_sender(core: Any) -> None:
    sim = opened(core, window=4)
    a, b = sim.ends
    b.reading = False
    for n in range(8):
        assert a.send(n) is not None
    assert a.send(8) is None
    sim.run(sim.exact + 5000)
    assert len(b.core.receiver.ready) == 4
    assert a.core.sender.sent_end == 4


def credit_is_told_at_once(core: Any) -> None:
    sim = opened(core, window=4)
    a, b = sim.ends
    b.reading = False
    for n in range(8):
        a.send(n)
    sim.run(sim.exact + 5000)
    b.reading = True
    b.wake()
    sim.run(sim.exact + 30)
    assert b.received == list(range(8))


def a_restart_is_noticed_at_once(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    a.send("old")
    sim.run(sim.exact + 100)
    b.restart()
    sim.run(sim.exact + 30)
    assert [type(m) for m in a.received] == [LinkReset]
    assert a.core.state() == b.core.state() == OPEN
    a.send("new")
    sim.run(sim.exact + 30)
    assert b.received[-1] == "new"


def a_restart_is_noticed_though_the_proof_is_lost(core: Any) -> None:
    """The first frame of the new session is lost, and nobody has anything to say."""
    sim = opened(core, keepalive_ms=60_000, silence_ms=600_000)
    a, b = sim.ends
    b.restart()
    sim.run(sim.exact + 1000, lambda: a.sent_frames == 1)  # the challenge
    sim.link.cut = True
    sim.run(sim.exact + 20)
    assert b.core.state() == OPEN
    sim.link.cut = False
    sim.run(sim.exact + 3000)
    assert [type(m) for m in a.received] == [LinkReset]


def what_has_arrived_can_be_read_when_the_session_has_ended(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    b.reading = False
    for n in range(3):
        a.send(n)
    sim.run(sim.exact + 100)
    a.restart()
    a.send("new")
    sim.run(sim.exact + 1000)
    b.reading = True
    b.wake()
    sim.run(sim.exact + 100)
    assert [m if not isinstance(m, LinkReset) else "reset" for m in b.received] == [
        0, 1, 2, "reset", "new",
    ]  # fmt: skip


def a_hello_of_long_ago_changes_nothing(core: Any) -> None:
    sim = Simulation(1, core=core)
    a, b = sim.ends
    frames = record(b)
    sim.run(500)
    b.restart()
    sim.run(1000)
    old = [frame for frame in frames if frame[0] == 0]
    a.received.clear()
    for frame in old:
        a.sent_frames = b.sent_frames = 0
        End.arrive(a, list(frame))
        sim.run(sim.exact + 1000)
        assert (a.sent_frames, b.sent_frames) == (1, 0)  # the question whether it is new
    a.send("still here")
    sim.run(sim.exact + 100)
    assert a.received == []
    assert b.received[-1] == "still here"
    assert not any(isinstance(m, LinkReset) for m in b.received)


def a_peer_may_start_late(core: Any) -> None:
    sim = Simulation(1, link=Link(cut=True), core=core)
    a, b = sim.ends
    a.send("early")
    sim.run(100_000)
    assert a.core.state() == OPENING
    sim.link.cut = False
    sim.run(sim.exact + 2100)
    assert b.received == ["early"]


def what_a_session_has_lost_is_told(core: Any) -> None:
    sim = opened(core, window=2, queue=4)
    a, b = sim.ends
    numbers = [a.send("delivered")]
    sim.run(sim.exact + 100)
    sim.link.cut = True
    numbers += [a.send(n) for n in range(4)]
    sim.run(sim.exact + 100)
    b.restart()
    sim.link.cut = False
    sim.run(sim.exact + 3000)
    assert a.core.sessions == 1
    fates = [a.core.fate(0, n) for n in numbers if n is not None]
    assert fates == ["delivered", "unknown", "unknown", "never sent", "never sent"]


def acknowledgements_are_not_acknowledged(core: Any) -> None:
    sim = opened(core, keepalive_ms=60_000, silence_ms=120_000)
    a, b = sim.ends
    a.send(1)
    sim.run(sim.exact + 30_000)
    assert (a.sent_frames, b.sent_frames) == (1, 1)


def an_idle_link_is_silent_but_for_keepalives(core: Any) -> None:
    sim = opened(core, keepalive_ms=1000)
    a, b = sim.ends
    sim.run(sim.exact + 20_000)
    assert 18 <= a.sent_frames + b.sent_frames <= 42
    sim.run(sim.exact + 100_000)
    assert a.core.sessions == b.core.sessions == 0


def silence_ends_the_session(core: Any) -> None:
    sim = opened(core, keepalive_ms=1000, silence_ms=3000, persistent=True)
    a, _ = sim.ends
    sim.link.cut = True
    sim.run(sim.exact + 4100)
    assert [type(m) for m in a.received] == [LinkReset]


def a_gap_is_filled_without_waiting_for_a_timer(core: Any) -> None:
    """Three later messages tell that one is lost."""
    sim = opened(core, window=8)
    a, b = sim.ends
    for n in range(20):
        a.send(n)
        sim.run(sim.exact + 100)  # measure round trips
    sim.link.cut = True
    a.send("lost")
    sim.run(sim.exact + 1)
    sim.link.cut = False
    for n in range(3):
        a.send(n)
    sim.run(sim.exact + 22)  # two trips there, one back, no time-out
    assert b.received[-4:] == ["lost", 0, 1, 2]


def a_replaced_link_loses_nothing(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    sim.link.cut = True
    for n in range(5):
        a.send(n)
        b.send(n)
    sim.run(sim.exact + 1000)
    sim.link.cut = False
    for end in (a, b):
        end.core.link_reset(sim.now)
        end.wake()
    sim.run(sim.exact + 20)
    assert a.received == b.received == list(range(5))


CASES = {
    name: case
    for name, case in list(globals().items())
    if getattr(case, "__module__", "") == __name__ and name not in ("opened", "record", "stream")
}
