"""Two ends of the reliable protocol on a simulated link, in virtual time.

sim = Simulation(seed=1, loss=0.1)
sim.ends[0].send("hello")
sim.run(until=1000)
assert sim.ends[1].received == ["hello"]
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from moat.micro.errors import LinkError, LinkReset
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import CLOSING, ENDED, OPENING, Reliable

__all__ = ["End", "Link", "Simulation"]

_WORK = 5000  # steps in one moment, frames and times that are to come


@dataclass
class Link:
    """How the link treats frames, the same in both directions; times in ms."""

    loss: float = 0
    duplicate: float = 0
    reorder: float = 0  # the chance to come up to `late_ms` late
    late_ms: float = 50
    delay_ms: float = 5
    rate: float = 0  # bytes per second; 0: the line is never busy
    cut: bool = False  # nothing arrives
    down: bool = False  # it takes nothing, see Simulation.unplug
    size: Callable[[Any], int] = lambda _frame: 1


class End:
    """One end: a core, what its user has sent and received, and its line to the other end.

    A user who reads takes all messages as they come; a session that ended is a LinkReset among
    them.
    """

    def __init__(self, sim: Simulation, options: Options, random: Callable[[], int]) -> None:
        self.sim = sim
        self.options = options
        self.random = random
        self.other: End = self
        self.reading = True
        self.received: list[Any] = []
        self.sent_frames = 0
        self.on_message: Callable[[Any], object] = self.received.append
        self.on_room: Callable[[], None] = lambda: None
        self.restart()

    def restart(self) -> None:
        """Begin with nothing, as after a reset of the board."""
        self.core = self.sim.make_core(self.options, self.random, self.sim.now)
        self.busy = False
        self._alarm: int | None = None  # at the latest then `_work` runs again
        self._inbox: list[Any] | None = None  # while it sleeps
        self._stuck: Any = None  # a frame that the link has not taken
        self.generation = next(self.sim.numbers)
        self.wake()

    def send(self, msg: Any, channel: Any = None) -> int | None:
        """Send a message; returns its number, None when there is no room."""
        sender = self.core.sender
        number = None if channel is None else sender.replace(msg, channel)
        if number is None:
            if sender.full() or self.core.state() in (CLOSING, ENDED):
                return None
            number = sender.put(msg, channel)
        self.wake()
        return number

    def wake(self) -> None:
        """Let the core do what it can do now."""
        self.sim.at(self.sim.now, self._work, self.generation)

    @property
    def asleep(self) -> bool:
        """True while it does nothing."""
        return self._inbox is not None

    def sleep(self, ms: float) -> bool:
        """Do nothing for `ms`; what arrives waits meanwhile. False: it sleeps already."""
        if self._inbox is not None:
            return False
        self._inbox = []
        self.sim.at(self.sim.exact + ms, self._awake, self.generation)
        return True

    def _awake(self, generation: int) -> None:
        if generation == self.generation and self._inbox is not None:
            frames, self._inbox = self._inbox, None
            self._work(generation)  # the timer comes first
            for frame in frames:
                self.arrive(frame)

    def _work(self, generation: int) -> None:
        if generation != self.generation or self._inbox is not None:
            return
        now = self.sim.now
        core = self.core
        core.tick(now)
        while not self.busy and (frame := core.next(now)) is not None:
            self._transmit(frame)
        if self.reading:
            self.read()
        self.on_room()
        if core.ended is not None:
            return
        at = now if core.pending(now) else core.deadline(now)
        if self._alarm is None or at < self._alarm:
            self._alarm = at
            self.sim.at(max(at, now), self._ring, (generation, at))

    def _ring(self, arg: tuple[int, int]) -> None:
        generation, at = arg
        if generation == self.generation and at == self._alarm:
            self._alarm = None
            self._work(generation)

    def read(self) -> None:
        """Take what has arrived."""
        while self.core.ready():
            try:
                self.on_message(self.core.take(self.sim.now))
            except LinkReset as exc:
                self.on_message(exc)
            except (EOFError, LinkError):
                return  # the end

    def _transmit(self, frame: Any) -> None:
        sim, link = self.sim, self.sim.link
        self.sent_frames += 1
        sim.count_work()
        if link.down:
            self.busy = True
            self._stuck = frame
            return
        line = link.size(frame) / link.rate * 1000 if link.rate else 0
        if line:
            self.busy = True
            sim.at(sim.exact + line, self._taken, self.generation)
        else:
            self.core.taken(sim.now)
        sim.carry(self.other, deepcopy(frame), line)

    def plugged(self) -> None:
        """The link below is a new one. What it could not take goes out now."""
        self.core.link_reset(self.sim.now)
        frame, self._stuck = self._stuck, None
        if frame is not None:
            self.busy = False
            self.sent_frames -= 1
            self._transmit(frame)
        self.wake()

    def _taken(self, generation: int) -> None:
        if generation == self.generation:
            self.busy = False
            self.core.taken(self.sim.now)
            self._work(generation)

    def arrive(self, frame: Any) -> None:
        """A frame comes out of the link."""
        if self._inbox is not None:
            self._inbox.append(frame)
            return
        self.core.receive(frame, self.sim.now)
        self._work(self.generation)


class Simulation:
    """Two ends, the link between them, and a clock that jumps from event to event.

    Args:
        seed: of everything that is random, the nonces of the ends included.
        options: of both ends, or one for each.
        link: the link.
        core: what makes the cores.
        nonces: gives the source of the nonces of an end, from its index and a seeded source.
    """

    def __init__(
        self,
        seed: int = 0,
        options: Options | tuple[Options, Options] | None = None,
        link: Link | None = None,
        core: Callable[[Options, Callable[[], int], int], Reliable] | None = None,
        nonces: Callable[[int, Random], Callable[[], int]] | None = None,
    ) -> None:
        self.make_core = core or Reliable
        self.random = Random(seed)
        self.link = link or Link()
        self.exact = 0.0
        self.lost = self.doubled = self.late = 0  # frames
        self.numbers = count()
        self._work_at, self._work = 0.0, 0
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        each = options if isinstance(options, tuple) else (options or Options(),) * 2
        nonces = nonces or (lambda _index, random: lambda: random.getrandbits(32))
        self.ends = [
            End(self, o, nonces(i, Random(self.random.random()))) for i, o in enumerate(each)
        ]
        self.ends[0].other, self.ends[1].other = self.ends[1], self.ends[0]

    @property
    def now(self) -> int:
        """The time in whole ms, as the cores see it."""
        return int(self.exact)

    def at(self, time: float, call: Callable[[Any], None], arg: Any) -> None:
        """Call this at that time."""
        heapq.heappush(self._events, (max(time, self.exact), next(self.numbers), call, arg))

    def carry(self, to: End, frame: Any, line_ms: float) -> None:
        """Take a frame to the other end, or lose it."""
        link, random = self.link, self.random
        for again in range(1 + (random.random() < link.duplicate)):
            self.doubled += again
            if link.cut or random.random() < link.loss:
                self.lost += 1
                continue
            late = random.random() * link.late_ms if random.random() < link.reorder else 0
            self.late += late > 0
            self.at(self.exact + line_ms + link.delay_ms + late, to.arrive, deepcopy(frame))

    def clear(self) -> None:
        """Lose all that is under way on the link."""
        arrivals = {end.arrive for end in self.ends}
        self._events = [event for event in self._events if event[2] not in arrivals]
        heapq.heapify(self._events)

    def unplug(self) -> None:
        """Lose what is under way; the link takes nothing until `plug`."""
        self.clear()
        self.link.down = True

    def plug(self) -> None:
        """There is a new link."""
        self.link.down = False
        for end in self.ends:
            end.plugged()

    def count_work(self) -> None:
        """Raise RuntimeError when the ends do not come to rest, or flood the link."""
        if self._work_at != self.exact:
            self._work_at, self._work = self.exact, 0
        self._work += 1
        if self._work > _WORK or len(self._events) > _WORK:
            raise RuntimeError("the ends do not come to rest")

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, until that time or until `done()`."""
        while self._events and self._events[0][0] <= until and not done():
            self.exact, _, call, arg = heapq.heappop(self._events)
            self.count_work()
            call(arg)
        if not done():
            self.exact = max(self.exact, until)

    def settle(self, limit_ms: float = 60_000) -> None:
        """Let time pass until all that was sent has arrived."""
        self.run(self.exact + limit_ms, lambda: all(_is_idle(end) for end in self.ends))


def _is_idle(end: End) -> bool:
    sender = end.core.sender
    return end.core.state() != OPENING and sender.first == sender.end
