"""What two ends of the reliable protocol promise, and a machine that tries to break it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moat.micro.errors import LinkReset
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import DELIVERED, NEVER_SENT, OPEN
from moat.micro.testing.simulation import End, Link, Simulation

SILENCE_MS = 3000
OPTIONS = {"keepalive_ms": 1000, "silence_ms": SILENCE_MS, "down_ms": 9000, "persistent": True}


class User:
    """Sends numbered messages from one end, and checks what arrives there.

    A message is (end, life of the end, its session, number in the session).
    """

    def __init__(self, end: End, index: int) -> None:
        self.end = end
        self.index = index
        self.life = 0
        self.count: dict[tuple[int, int], int] = {}
        self.accepted: list[tuple[Any, int, Any]] = []  # message, number, core
        self.last: Any = None  # received in this session
        self.got: set[Any] = set()
        self.resets = 0
        end.on_message = self.receive

    def send(self) -> None:
        core = self.end.core
        key = self.life, core.sessions
        number = self.count.get(key, 0)
        msg = (self.index, *key, number)
        found = self.end.send(msg)
        if found is not None:
            self.count[key] = number + 1
            self.accepted.append((msg, found, core))

    def receive(self, msg: Any) -> None:
        if isinstance(msg, LinkReset):
            self.resets += 1
            self.last = None
            return
        assert msg not in self.got, f"{msg} came twice"
        if self.last is None:
            assert msg[3] == 0, f"{msg} is the first of a session"
        else:
            assert msg == (*self.last[:3], self.last[3] + 1), f"{msg} came behind {self.last}"
        self.got.add(msg)
        self.last = msg

    def restart(self) -> None:
        self.life += 1
        self.last = None
        self.end.restart()

    def check_fates(self, other: User) -> None:
        """What the core says about its messages is true."""
        waiting = {m for m in other.end.core.receiver.rest() if not isinstance(m, Exception)}
        left = {m for m in other.end.core._left if not isinstance(m, Exception)}
        for msg, number, core in self.accepted:
            if core is not self.end.core:
                continue
            fate = core.fate(msg[2], number)
            if fate == DELIVERED and other.life == 0:
                assert msg in other.got | waiting | left, f"{msg} was not delivered"
            if fate == NEVER_SENT:
                assert msg not in other.got, f"{msg} was sent"


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
    @rule(seed=st.integers(0, 2**16), windows=st.tuples(*[st.sampled_from([1, 2, 5, 8])] * 2))
    def begin(self, seed: int, windows: tuple[int, int]) -> None:
        options = tuple(Options(window=w, **OPTIONS) for w in windows)
        self.sim = Simulation(seed, (options[0], options[1]), core=self.core, nonces=self.nonces)
        self.users = [User(end, i) for i, end in enumerate(self.sim.ends)]
        self.quiet = True  # nothing has happened that may end a session
        self.cut_at: float | None = None
        self.cuts = 0

    @precondition(lambda self: self.sim is not None)
    @rule(who=st.integers(0, 1), n=st.integers(1, 12))
    def send(self, who: int, n: int) -> None:
        for _ in range(n):
            self.users[who].send()

    @precondition(lambda self: self.sim is not None)
    @rule(ms=st.sampled_from([1, 5, 20, 60, 200, 1000]))
    def wait(self, ms: int) -> None:
        self.sim.run(self.sim.exact + ms)

    @precondition(lambda self: self.sim is not None)
    @rule(
        loss=st.sampled_from([0, 0.1, 0.4]),
        duplicate=st.sampled_from([0, 0.2, 0.6]),
        reorder=st.sampled_from([0, 0.3]),
        late_ms=st.sampled_from([20, 200, 900]),
        delay_ms=st.sampled_from([1, 10, 60]),
    )
    def weather(self, **kw: Any) -> None:
        self.sim.link = Link(cut=self.sim.link.cut, **kw)

    @precondition(lambda self: self.sim is not None)
    @rule(cut=st.booleans())
    def cut(self, cut: bool) -> None:
        self.sim.link.cut = cut
        if not cut:
            self.cut_at = None
        elif self.cut_at is None:
            self.cut_at = self.sim.exact
            self.cuts += 1

    @precondition(lambda self: self.sim is not None)
    @rule(who=st.integers(0, 1), reading=st.booleans())
    def read(self, who: int, reading: bool) -> None:
        self.sim.ends[who].reading = reading
        self.sim.ends[who].wake()

    @precondition(lambda self: self.sim is not None)
    @rule(who=st.integers(0, 1))
    def restart(self, who: int) -> None:
        self.quiet = False
        if not self.stale:
            self.sim.clear()
        self.users[who].restart()

    @invariant()
    def no_session_ends_for_nothing(self) -> None:
        if self.sim is None:
            return
        if self.cut_at is not None and self.sim.exact - self.cut_at > SILENCE_MS / 4:
            self.quiet = False
        if self.cuts > 1:
            self.quiet = False  # there may be no time between them for a ping
        if self.sim.link.loss > 0.3:
            self.quiet = False  # all pings of three seconds may be lost
        assert not self.quiet or not any(u.resets for u in self.users), "a session has ended"

    @invariant()
    def fates_are_true(self) -> None:
        if self.sim is not None:
            self.users[0].check_fates(self.users[1])
            self.users[1].check_fates(self.users[0])

    def teardown(self) -> None:
        """On a good link all that a session still owes arrives."""
        if self.sim is None:
            return
        sim = self.sim
        sim.link = Link()
        for end in sim.ends:
            end.reading = True
            end.wake()
        sim.run(sim.exact + 20_000)
        for user in self.users:
            assert user.end.core.state == OPEN, "the session does not open"
        before = [u.resets for u in self.users]
        for user in self.users:
            user.send()
        sim.run(sim.exact + 20_000)
        for user, other in (self.users, self.users[::-1]):
            core = user.end.core
            for msg, _, its in user.accepted:
                if its is core and msg[2] == core.sessions:
                    assert msg in other.got, f"{msg} never came"
        assert before == [u.resets for u in self.users], "the session does not last"


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
