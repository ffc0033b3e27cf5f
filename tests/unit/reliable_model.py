"""What two ends of the reliable protocol promise, and a machine that tries to break it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moat.micro.errors import LinkReset
from moat.micro.proto._options import Options
from moat.micro.proto._past import DELIVERED, NEVER_SENT
from moat.micro.proto._reliable import CLOSING, ENDED, OPEN, Reliable
from moat.micro.testing.simulation import End, Link, Simulation

LINGER_MS = 1000
OPTIONS = {"keepalive_ms": 500, "silence_ms": 5000, "down_ms": 9000, "linger_ms": LINGER_MS}
BAD_MS = 1500  # of these without a link, no session may end


class User:
    """Sends messages from one end, and checks what arrives there.

    A message is (end, life of the end, its session, which one in the life).
    """

    def __init__(self, end: End, index: int) -> None:
        self.end = end
        self.index = index
        self.other = self
        self.life = 0
        self.sent = 0
        self.place: dict[Any, tuple[Reliable, int]] = {}  # of each message: core, number
        self.value: dict[Any, Any] = {}  # of each place: the message that is, or was, there
        self.first: Any = None  # received in this session
        self.received = 0  # in this session
        self.got: set[Any] = set()
        self.dropped: set[Any] = set()  # had arrived when this end died, and was not read
        self.resets = 0
        end.on_message = self.receive

    def send(self, channel: Any = None) -> Any:
        """Send a message; returns it, None if there is no room."""
        core = self.end.core
        msg = (self.index, self.life, core.sessions, self.sent)
        number = self.end.send(msg, channel)
        if number is None:
            return None
        self.sent += 1
        self.place[msg] = core, number
        self.value[msg[:3], number] = msg  # it may replace another one
        return msg

    def receive(self, msg: Any) -> None:
        if isinstance(msg, LinkReset):
            self.resets += 1
            self.first = None
            self.received = 0
            return
        assert msg not in self.got, f"{msg} came twice"
        number = self.other.place[msg][1]
        assert self.other.value[msg[:3], number] == msg, f"{msg} had been replaced"
        assert number == self.received, f"{msg} is not the next one"
        self.first = self.first or msg
        assert msg[:3] == self.first[:3], f"{msg} and {self.first} are of one session"
        self.got.add(msg)
        self.received += 1

    def waiting(self) -> set[Any]:
        """What has arrived and can be read."""
        core = self.end.core
        found = core.receiver.ready + core.past._left
        return {m for m in found if not isinstance(m, Exception)}

    def restart(self) -> None:
        self.dropped |= self.waiting()
        self.life += 1
        self.first = None
        self.received = 0
        self.end.restart()

    def check(self) -> None:
        """What the core says about its messages is true, and its queues are bounded."""
        other = self.other
        arrived = other.got | other.dropped | other.waiting()
        for msg, (core, number) in self.place.items():
            fate = core.fate(msg[2], number)
            replaced = self.value[msg[:3], number] != msg
            if fate == DELIVERED and not replaced:
                assert msg in arrived, f"{msg} was not delivered"
            if fate == NEVER_SENT:
                assert msg not in arrived, f"{msg} was sent"
            if core is not self.end.core or core.ended or msg[2] != core.sessions:
                assert fate is not None or core is not self.end.core, f"{msg} has no fate"
        core = self.end.core
        window = self.end.options.window
        assert len(self.waiting()) <= window
        assert len(core.past._left) <= 2 * window + 1
        assert len(core.receiver._early) < window
        assert len(core.sender._queue) <= self.end.options.queue


def constant(*ends: int) -> Callable[[int, Random], Callable[[], int]]:
    """These ends have no randomness: they draw the same after each restart."""

    def nonces(index: int, random: Random) -> Callable[[], int]:
        return (lambda: 0x2A55_0000 + index) if index in ends else lambda: random.getrandbits(32)

    return nonces


class Machine(RuleBasedStateMachine):
    """Two ends, users, and all that can happen to them; see `machine`."""

    core: Any = None
    nonces: Any = None
    stale = True

    def __init__(self) -> None:
        super().__init__()
        self.sim: Any = None

    @precondition(lambda self: self.sim is None)
    @rule(
        seed=st.integers(0, 2**16),
        windows=st.tuples(*[st.sampled_from([1, 2, 5, 8])] * 2),
        persistent=st.tuples(st.booleans(), st.booleans()),
    )
    def begin(self, seed: int, windows: tuple[int, int], persistent: tuple[bool, bool]) -> None:
        a, b = (
            Options(window=w, persistent=p, **OPTIONS)
            for w, p in zip(windows, persistent, strict=True)
        )
        self.sim = Simulation(seed, (a, b), core=self.core, nonces=self.nonces)
        self.users = [User(end, i) for i, end in enumerate(self.sim.ends)]
        self.users[0].other, self.users[1].other = self.users[1], self.users[0]
        self.quiet = True  # nothing has happened that may end a session
        self.bad_ms = 0.0  # without a link
        self.closed: dict[Any, float] = {}  # cores

    @precondition(lambda self: self.sim is not None)
    @rule(
        counts=st.tuples(*[st.integers(0, 12)] * 2),
        channel=st.sampled_from([None, None, "x"]),
        ms=st.sampled_from([0, 1, 5, 20, 60, 200]),
    )
    def send(self, counts: tuple[int, int], channel: Any, ms: int) -> None:
        for user, n in zip(self.users, counts, strict=True):
            for i in range(n):
                user.send(channel if i % 3 else None)
        self.wait(ms)

    @precondition(lambda self: self.sim is not None)
    @rule(ms=st.sampled_from([1, 5, 20, 60, 200, 1000]))
    def idle(self, ms: int) -> None:
        self.wait(ms)

    def wait(self, ms: int) -> None:
        if self.sim.link.cut or self.sim.link.down:
            self.bad_ms += ms
        self.sim.run(self.sim.exact + ms)

    @precondition(lambda self: self.sim is not None)
    @rule(
        loss=st.sampled_from([0, 0.1, 0.4]),
        duplicate=st.sampled_from([0, 0.2, 0.6]),
        reorder=st.sampled_from([0, 0.3]),
        late_ms=st.sampled_from([20, 200, 900]),
        delay_ms=st.sampled_from([1, 10, 60]),
        rate=st.sampled_from([0, 0, 200]),
    )
    def weather(self, loss: float, **kw: Any) -> None:
        if loss > 0.3:
            self.quiet = False  # all pings of some seconds may be lost
        self.sim.link = Link(down=self.sim.link.down, loss=loss, **kw)

    @precondition(lambda self: self.sim is not None)
    @rule(who=st.integers(0, 1), reading=st.sampled_from([True, True, False]))
    def read(self, who: int, reading: bool) -> None:
        self.sim.ends[who].reading = reading
        self.sim.ends[who].wake()

    @precondition(lambda self: self.sim is not None)
    @rule(
        what=st.sampled_from(["cut", "unplug", "plug", "sleep", "restart", "restart", "close"]),
        who=st.integers(0, 1),
        ms=st.sampled_from([20, 200, 1000]),
    )
    def trouble(self, what: str, who: int, ms: int) -> None:
        getattr(self, "_" + what)(who, ms)

    def _cut(self, who: int, ms: int) -> None:
        self.sim.link.cut = True
        self.wait(ms)
        self.sim.link.cut = False

    def _unplug(self, who: int, ms: int) -> None:
        self.sim.unplug()

    def _plug(self, who: int, ms: int) -> None:
        self.sim.plug()

    def _sleep(self, who: int, ms: int) -> None:
        if self.sim.ends[who].sleep(20 * ms):
            self.bad_ms += 20 * ms

    def _restart(self, who: int, ms: int) -> None:
        self.quiet = False
        if not self.stale:
            self.sim.clear()
        self.users[who].restart()

    def _close(self, who: int, ms: int) -> None:
        self.quiet = False
        end = self.sim.ends[who]
        if end.core.state() not in (CLOSING, ENDED) and not end.asleep:
            end.core.close(self.sim.now)
            end.wake()
            self.closed[end.core] = self.sim.exact

    @invariant()
    def no_session_ends_for_nothing(self) -> None:
        if self.sim is None:
            return
        self.quiet = self.quiet and self.bad_ms <= BAD_MS
        if self.quiet:
            assert not any(u.resets for u in self.users), "a session has ended"
            assert not any(end.core.ended for end in self.sim.ends), "an end has ended"

    @invariant()
    def closing_ends(self) -> None:
        if self.sim is None:
            return
        for end in self.sim.ends:
            at = self.closed.get(end.core)
            if at is not None and not end.asleep:
                limit = at + LINGER_MS + 1
                assert self.sim.exact < limit or end.core.ended, "closing takes too long"

    @invariant()
    def users_are_content(self) -> None:
        if self.sim is not None:
            for user in self.users:
                user.check()

    def teardown(self) -> None:
        """On a good link all that a session still owes arrives."""
        if self.sim is None:
            return
        sim = self.sim
        sim.link = Link(down=sim.link.down)
        if sim.link.down:
            sim.plug()
        for user in self.users:
            user.end.reading = True
            user.end.wake()
        sim.run(sim.exact + 35_000)  # they are awake
        for user in self.users:
            if user.end.core.state() in (CLOSING, ENDED):
                user.restart()
        sim.run(sim.exact + 20_000)
        self._lasts()
        self._leaves(*self.users)

    def _lasts(self) -> None:
        sim = self.sim
        for user in self.users:
            if user.end.core.state() == ENDED:  # the other one's restart has ended it
                user.restart()
        sim.run(sim.exact + 20_000)
        for user in self.users:
            assert user.end.core.state() == OPEN, "the session does not open"
        before = [u.resets for u in self.users]
        for user in self.users:
            user.send()
        sim.run(sim.exact + 20_000)
        for user in self.users:
            core = user.end.core
            for (key, number), msg in user.value.items():
                if user.place[msg][0] is core and key[2] == core.sessions:
                    assert msg in user.other.got, f"{msg}, number {number}, never came"
        assert before == [u.resets for u in self.users], "the session does not last"

    def _leaves(self, user: User, other: User) -> None:
        msgs = [msg for _ in range(user.end.options.queue) if (msg := user.send())]
        assert msgs
        resets = other.resets
        user.end.core.close(self.sim.now)
        user.end.wake()
        self.sim.run(self.sim.exact + 200)
        assert user.end.core.ended, "closing takes long"
        assert other.got.issuperset(msgs), "closing loses messages"
        if other.end.options.persistent:
            assert other.resets == resets + 1
        else:
            assert isinstance(other.end.core.ended, EOFError)


def machine(
    core: Callable[..., Any] | None = None,
    nonces: Callable[[int, Random], Callable[[], int]] | None = None,
    stale: bool = True,
) -> type[RuleBasedStateMachine]:
    """Return a machine for such cores.

    Args:
        core: makes one.
        nonces: see Simulation.
        stale: what is under way when an end restarts still arrives.
    """
    body = {
        "core": core and staticmethod(core),
        "nonces": nonces and staticmethod(nonces),
        "stale": stale,
    }
    return type("Machine", (Machine,), body)
