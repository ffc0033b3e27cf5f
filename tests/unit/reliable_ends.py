"""More cases of the reliable protocol: how sessions begin and end, and odd frames."""

from __future__ import annotations

from typing import Any

from moat.micro.errors import LinkLost, LinkReset, ProtocolError
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import CLOSING, OPEN, OPENING
from moat.micro.testing.simulation import End, Link, Simulation
from tests.unit.reliable_cases import opened, record


def close(end: End) -> None:
    """Take leave."""
    end.core.close(end.sim.now)
    end.wake()


def names(received: list[Any]) -> list[Any]:
    """What was received, with the ends of sessions as "reset"."""
    return ["reset" if isinstance(m, LinkReset) else m for m in received]


# ---- frames that are not the session's


def a_frame_without_a_session_is_not_taken(core: Any) -> None:
    sim = Simulation(1, link=Link(cut=True), core=core)
    a, _ = sim.ends
    sim.run(100)
    for tag in (-1, None, 1, 5, "", False):
        a.arrive([tag, 0, 8, 0, 0, "forged"])
        a.arrive([tag, 0])
    sim.run(200)
    assert a.received == []
    assert a.core.state() == OPENING


def an_echo_of_the_line_is_not_taken(core: Any) -> None:
    sim = Simulation(1, core=core)
    a, b = sim.ends
    to_b, to_a = b.arrive, a.arrive

    def at_b(frame: Any) -> None:
        to_b(list(frame))
        to_a(list(frame))

    def at_a(frame: Any) -> None:
        to_a(list(frame))
        to_b(list(frame))

    b.arrive, a.arrive = at_b, at_a  # type: ignore[method-assign]
    sim.run(1000)
    for n in range(10):
        a.send(["a", n])
        b.send(["b", n])
    sim.run(sim.exact + 1000)
    assert a.received == [["b", n] for n in range(10)]
    assert b.received == [["a", n] for n in range(10)]


def an_echo_alone_opens_nothing(core: Any) -> None:
    sim = Simulation(1, core=core)
    a, b = sim.ends
    b.arrive = a.arrive  # type: ignore[method-assign]
    a.send("to myself")
    sim.run(30_000)
    assert a.core.state() == OPENING
    assert a.received == []


def a_farewell_that_makes_no_sense_is_skipped(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    for end in ("now", None, [], 0.5):
        a.arrive([a.core._handshake.tag, end])
    sim.run(sim.exact + 100)
    assert a.core.state() == b.core.state() == OPEN
    assert (a.core.skipped, b.core.skipped) == (4, 0)


def frames_of_a_past_session_do_not_cause_a_storm(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    b.restart()
    sim.link.cut = True
    sim.run(sim.exact + 1000)
    a.sent_frames = b.sent_frames = 0
    for _ in range(500):
        b.arrive([a.core._handshake.out_tag, 0, 8, 0, 0, "old"])
        sim.run(sim.exact + 1)
    assert b.sent_frames <= 6


def a_number_that_is_none_takes_no_memory(core: Any) -> None:
    sim = opened(core)
    a, _ = sim.ends
    tag = a.core._handshake.tag
    for n in range(100):
        a.arrive([tag, 0, 8, 0, 1 + n / 128, "x"])
        a.arrive([tag, 0, 8, 0, [n], "x"])
        a.arrive([tag, 0.5, 8, 0, 0, "x"])
    assert a.core.skipped == 300
    assert a.core.receiver._early == {}
    assert a.received == []


def parted(core: Any, **options: Any) -> Simulation:
    """Two ends in different sessions.

    `b` has started anew twice. While it answers the question whether it is new, its first hello
    arrives, late.
    """
    sim = opened(core, **options)
    a, b = sim.ends
    b.restart()
    first = b.core._handshake.hello()
    b.restart()
    sim.run(sim.exact + 1000, lambda: a.sent_frames == 1)  # the question
    End.arrive(a, first)
    sim.run(sim.exact + 50)
    assert a.core.state() == b.core.state() == OPEN
    assert a.core._handshake.tag != b.core._handshake.out_tag
    return sim


def ends_that_are_in_different_sessions_meet_again(core: Any) -> None:
    for persistent in (False, True):
        sim = parted(core, persistent=persistent)
        a, b = sim.ends
        a.send("old")
        b.send("early")
        sim.run(sim.exact + 4000)
        assert names(a.received) == ["reset", "early"]
        assert b.received == []  # it was in no session before
        a.send("new")
        sim.run(sim.exact + 100)
        assert b.received == ["new"]


def an_end_that_looks_for_its_peer_keeps_what_was_not_sent(core: Any) -> None:
    sim = parted(core)
    a, b = sim.ends
    tag = a.core._handshake.out_tag
    b.send("early")
    sim.link.cut = True
    for _ in range(10):
        b.arrive([tag, 0, 8, 0])
        sim.run(sim.exact + 100)
    assert b.core.state() == OPENING
    sim.link.cut = False
    sim.run(sim.exact + 2000)
    assert names(a.received) == ["reset", "early"]
    assert b.received == []


def what_was_accepted_is_for_the_first_peer_that_stays(core: Any) -> None:
    """One has answered, and started anew before anything else was heard of it."""
    sim = Simulation(1, link=Link(delay_ms=5), core=core)
    a, b = sim.ends
    a.send("kept")
    sim.run(1000, lambda: a.core.state() == OPEN)
    b.restart()
    sim.clear()
    sim.run(sim.exact + 1000)
    assert a.received == []
    assert b.received == ["kept"]


def a_late_frame_of_another_session_ends_nothing(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    frames = record(b)
    b.send("old")
    sim.run(sim.exact + 100)
    b.restart()
    sim.run(sim.exact + 1000)
    a.received.clear()
    for _ in range(20):
        End.arrive(a, list(frames[0]))
        sim.run(sim.exact + 300)
    assert a.core.skipped == 20
    assert a.received == b.received == []
    assert a.core.sessions == 1
    b.sent_frames = 0
    sim.run(sim.exact + 4000)
    assert b.sent_frames == 0  # an answer is enough


# ---- versions


def hello(version: int) -> list[Any]:
    """What a peer says that speaks this version."""
    return [0, 1, version, 0x1A2B3C4D, 0, 8, 8]


def another_version_is_refused_and_told(core: Any) -> None:
    sim = Simulation(1, core=core)
    a, b = sim.ends
    frames = record(a)
    End.arrive(a, hello(2))
    sim.run(100)
    assert isinstance(a.core.ended, ProtocolError)
    assert "version 2" in str(a.core.ended)
    assert frames[0][:3] == [0, 1, 1]  # so the peer can say the same
    assert b.core.ended is None


def another_version_does_not_disturb_a_session(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    End.arrive(a, hello(2))
    a.send(1)
    sim.run(sim.exact + 100)
    assert a.core.state() == OPEN
    assert b.received == [1]


def a_persistent_end_waits_for_a_peer_of_its_version(core: Any) -> None:
    sim = Simulation(1, Options(persistent=True), core=core)
    a, b = sim.ends
    End.arrive(a, hello(2))
    b.send(1)
    sim.run(100)
    assert a.received == [1]


# ---- closing


def closing_while_opening_is_told(core: Any) -> None:
    """The peer has opened by what we said, and would wait for a sign of us."""
    sim = Simulation(1, link=Link(delay_ms=5), core=core)
    a, b = sim.ends
    sim.run(3)
    a.restart()
    sim.run(1000, lambda: b.core.state() == OPEN)
    assert a.core.state() == OPENING
    close(a)
    sim.run(sim.exact + 100)
    assert isinstance(b.core.ended, EOFError)


def a_peer_that_starts_anew_while_we_close_is_told(core: Any) -> None:
    sim = opened(core, linger_ms=60_000, window=1)
    a, b = sim.ends
    b.reading = False
    for n in range(2):
        a.send(n)
    close(a)
    sim.run(sim.exact + 1000)
    assert a.core.state() == CLOSING
    b.restart()
    sim.run(sim.exact + 100)
    assert isinstance(a.core.ended, LinkLost)
    assert a.core.fate(0, 0) == "delivered"
    assert a.core.fate(0, 1) == "never sent"
    assert a.received == []
    assert isinstance(b.core.ended, EOFError)


def both_may_close_at_once(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    for end in (a, b):
        end.send("last")
        close(end)
    sim.run(sim.exact + 100)
    assert a.core.ended
    assert b.core.ended
    assert a.received == b.received == ["last"]


def a_farewell_that_is_lost_is_said_again(core: Any) -> None:
    sim = opened(core, keepalive_ms=60_000, silence_ms=120_000)
    a, b = sim.ends
    close(a)
    sim.link.cut = True
    sim.run(sim.exact + 5)
    sim.link.cut = False
    sim.run(sim.exact + 200)
    assert isinstance(b.core.ended, EOFError)
    assert a.core.ended


def an_answer_to_a_farewell_that_is_lost_is_given_again(core: Any) -> None:
    for persistent in (True, False):
        sim = opened(core, persistent=persistent)
        a, b = sim.ends
        close(a)
        sim.run(sim.exact + 1000, lambda a=a: a.sent_frames > 0)
        sim.link.cut = True  # the answer, and the hello of the next session
        sim.run(sim.exact + 6)
        assert b.core.sessions or b.core.ended
        sim.link.cut = False
        sim.run(sim.exact + 200)
        assert a.core.ended
        assert names(b.received) == ["reset"] * persistent


def an_answer_to_a_farewell_is_not_answered(core: Any) -> None:
    """Not for ever, that is."""
    for persistent in (True, False):
        sim = opened(core, persistent=persistent, keepalive_ms=60_000, silence_ms=120_000)
        a, b = sim.ends
        a.core.refused(ValueError("for the test"), sim.now)
        a.wake()
        sim.run(sim.exact + 30_000)
        assert a.sent_frames + b.sent_frames <= 10


def a_persistent_end_that_closes_tells_its_end_once(core: Any) -> None:
    """And no LinkReset: there is no next session."""
    sim = opened(core, persistent=True)
    a, b = sim.ends
    close(b)
    close(a)
    sim.run(sim.exact + 3000)
    assert a.received == b.received == []
    assert isinstance(a.core.ended, (EOFError, LinkLost))
    assert not isinstance(a.core.ended, LinkReset)


def closing_does_not_wait_for_ever(core: Any) -> None:
    sim = opened(core, linger_ms=300)
    a, b = sim.ends
    sim.link.cut = True
    assert a.send("lost") == 0
    close(a)
    assert a.send("too late") is None
    sim.run(sim.exact + 301)
    assert isinstance(a.core.ended, LinkLost)
    assert a.core.fate(0, 0) == "unknown"
    assert b.core.ended is None


# ---- what was not read


def what_has_arrived_of_several_sessions_can_be_read(core: Any) -> None:
    """It was acknowledged; and it takes up the room of what would come."""
    sim = opened(core, window=4)
    a, b = sim.ends
    b.reading = False
    for life in range(6):
        for n in range(2):
            a.send([life, n])
        sim.run(sim.exact + 1000)
        a.restart()
        sim.run(sim.exact + 1000)
    assert b.core.past.held == 4
    assert a.send("new") is not None
    sim.run(sim.exact + 1000)
    assert a.core.sender.blocked()
    b.reading = True
    b.wake()
    sim.run(sim.exact + 1000)
    assert names(b.received) == [[0, 0], [0, 1], "reset", [1, 0], [1, 1], "reset", "new"]


def an_end_is_raised_as_a_new_error_each_time(core: Any) -> None:
    sim = opened(core)
    a, b = sim.ends
    close(b)
    sim.run(sim.exact + 100)
    caught = []
    for _ in range(2):
        try:
            a.core.take(sim.now)
        except EOFError as exc:
            caught.append(exc)
    assert len({id(exc) for exc in caught}) == 2


ENDS = {
    name: case
    for name, case in list(globals().items())
    if getattr(case, "__module__", "") == __name__
    and name not in ("close", "names", "hello", "parted")
}
