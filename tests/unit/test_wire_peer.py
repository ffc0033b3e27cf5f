"""Who reads docs/wire.md can write a peer: one that was written so talks to the real core."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgpack import packb, unpackb

from moat.micro.errors import LinkReset
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import Reliable
from tests.unit.wire_peer import Peer

STEP_MS = 5


class Line:
    """A core and a peer, and what is under way between them."""

    def __init__(self, seed: int, window: int, loss: float, late_ms: int) -> None:
        self.random = Random(seed)
        self.loss = loss
        self.late_ms = late_ms
        self.now = 0
        self.core = Reliable(Options(window=window), self.bits, 0)
        self.peer = Peer(self.bits)
        self.way: list[tuple[int, bool, bytes]] = []  # when, to the core, frame
        self.received: list[Any] = []

    def bits(self) -> int:
        return self.random.getrandbits(32)

    def carry(self, to_core: bool, frame: list[Any]) -> None:
        for _ in range(self.random.choice([1, 1, 1, 2]) if self.loss else 1):
            if self.random.random() >= self.loss:
                at = self.now + STEP_MS + self.random.randint(0, self.late_ms)
                self.way.append((at, to_core, packb(frame)))

    def run(self, ms: int) -> None:
        for _ in range(ms // STEP_MS):
            self.now += STEP_MS
            arrived = sorted(entry for entry in self.way if entry[0] <= self.now)
            self.way = [entry for entry in self.way if entry[0] > self.now]
            for _at, to_core, data in arrived:
                end = self.core if to_core else self.peer
                end.receive(unpackb(data), self.now)
            for frame in self.peer.poll(self.now):
                self.carry(True, frame)
            self.step()

    def step(self) -> None:
        core = self.core
        core.tick(self.now)
        while (frame := core.next(self.now)) is not None:
            core.taken(self.now)
            self.carry(False, frame)
        while core.ready() and not (core.ended and not core.receiver.ready):
            try:
                self.received.append(core.take(self.now))
            except LinkReset as exc:
                self.received.append(type(exc))

    def good(self) -> None:
        self.loss = 0
        self.late_ms = 0


lines = st.builds(
    Line,
    st.integers(0, 2**16),
    st.sampled_from([1, 2, 8, 64]),
    st.sampled_from([0, 0.1, 0.4]),
    st.sampled_from([0, 20, 200]),
)


@settings(max_examples=200, deadline=None)
@given(lines, st.integers(0, 12), st.integers(0, 2), st.booleans())
def test_messages_go_both_ways(line: Line, there: int, back: int, leaves: bool) -> None:
    core, peer = line.core, line.peer
    peer.queue += range(there)
    for n in range(back):
        core.sender.put(n)
    line.run(3000)
    line.good()
    line.run(8000)
    assert line.received == list(range(there))
    assert peer.received == list(range(back))
    assert core.sessions == peer.sessions == 0
    if leaves:
        peer.leaving = True
    else:
        core.close(line.now)
    line.run(1000)
    assert peer.ended
    assert core.ended is not None
    assert isinstance(core.ended, EOFError) or not leaves


@settings(max_examples=100, deadline=None)
@given(lines, st.booleans())
def test_each_may_start_anew(line: Line, which: bool) -> None:
    line.peer.queue.append("old")
    line.core.sender.put("old")
    line.run(3000)
    line.good()
    line.run(3000)
    assert line.received == line.peer.received == ["old"]
    line.received.clear()
    if which:
        line.peer = Peer(line.bits)
    else:
        line.core = Reliable(Options(), line.bits, line.now)
    line.run(3000)
    assert line.received == [LinkReset] * which
    assert line.peer.sessions == (not which)
    line.peer.queue.append("new")
    line.core.sender.put("new")
    line.run(3000)
    assert line.received[-1] == line.peer.received[-1] == "new"


def test_an_idle_session_lasts() -> None:
    line = Line(1, 8, 0, 0)
    line.run(100_000)
    assert line.core.sessions == 0
    assert line.core.ended is None
    line.core.sender.put("still here")
    line.run(100)
    assert line.peer.received == ["still here"]
