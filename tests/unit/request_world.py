"""Two request cores, and all that may happen to them.

The line loses messages when it breaks, anywhere among those that are on their way; at once or
later one end notices it, or both do. Ends start anew, leave, meet a peer of another version.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgpack import unpackb

from moat.micro.cmd._wire import BYE, HELLO, ID_BITS, REPLY, VERSION
from moat.micro.errors import CallNotRunError
from tests.unit.request_model import MAX_SERVED, Cores, End, Fate

SIDES = st.sampled_from([0, 1])


class World(RuleBasedStateMachine):
    """Two ends that live through everything that may happen to them; see `machine`."""

    cores: Cores

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[Any] = [None, None]  # Ends, once they are started
        self.fates: dict[int, Fate] = {}
        self.started = 0
        self.unnoticed: tuple[int, ...] = ()  # ends that will notice that the line was broken

    def in_session(self, side: int) -> bool:
        return self.ends[side] is not None and self.ends[side].core.open

    # ---- the life of an end

    @initialize(first=SIDES, both=st.booleans())
    def begin(self, first: int, both: bool) -> None:
        self.start(first)
        if both:
            self.start(1 - first)
            self.drain()

    def start(self, side: int, heard: bool = False) -> None:
        """Start, or start anew; what was said before may still arrive."""
        before = self.ends[side]
        self.started += 1
        self.ends[side] = end = End(self, side, self.started)
        if before is not None and heard:
            end.line.extendleft(reversed(before.line))

    def leave(self, side: int) -> None:
        end = self.ends[side]
        if end is not None:
            end.corked = False
            if end.core.open:
                end.post([BYE])
        self.start(side, True)

    def breaks(self, losses: tuple[int, int], sides: tuple[int, ...]) -> None:
        """What `losses` tells is lost: bits, the next message first; later, `sides` notice it."""
        for end, mask in zip(self.ends, losses, strict=True):
            if end is not None:
                kept = [msg for i, msg in enumerate(end.line) if not mask >> i % 12 & 1]
                end.line = deque(kept)
        self.unnoticed += sides

    @precondition(lambda self: self.unnoticed)
    @rule()
    def notice(self) -> None:
        sides, self.unnoticed = self.unnoticed, ()
        for side in sides:
            end = self.ends[side]
            if end is not None:
                end.event(end.core.lost())
                end.post(end.core.hello())

    @rule(
        losses=st.tuples(*[st.integers(0, 4095) | st.just(4095)] * 2),
        sides=st.sampled_from([(0,), (1,), (0, 1)]),
        at_once=st.booleans(),
        luck=st.integers(0, 2),
    )
    def broken(self, losses: Any, sides: tuple[int, ...], at_once: bool, luck: int) -> None:
        if not luck:
            self.breaks(losses, sides)
            if at_once:
                self.notice()

    @rule(
        side=SIDES,
        what=st.sampled_from(["stop", "crash", "leave", "version", "noise"]),
        luck=st.integers(0, 4),
    )
    def disrupt(self, side: int, what: str, luck: int) -> None:
        if luck:
            self.deliver(side, 2)
        elif what == "leave":
            self.leave(side)
        elif what in ("version", "noise"):
            if self.ends[side] is not None:
                ident = 0x7FFFFFFF & ~255 | ID_BITS
                hello = [HELLO, VERSION + 1, ident] if what == "version" else [REPLY, 1, b""]
                if what == "version" or not self.ends[side].core.open:
                    self.ends[side].receive(hello)
        else:
            self.start(side, what == "stop")

    # ---- the line

    @rule(side=SIDES, n=st.integers(1, 6))
    def deliver(self, side: int, n: int) -> None:
        end, other = self.ends[side], self.ends[1 - side]
        while other is not None and other.line and n:
            data = other.line.popleft()
            if end is not None:
                end.receive(unpackb(data, strict_map_key=False))
            n -= 1

    @rule(side=SIDES, corked=st.booleans())
    def cork(self, side: int, corked: bool) -> None:
        """Have what is to be sent wait."""
        if self.ends[side] is not None:
            self.ends[side].corked = corked
            self.ends[side].flush()

    # ---- calls

    def _caller(self, side: int) -> Any:
        return self.ends[side if self.in_session(side) else 1 - side]

    @precondition(lambda self: self.in_session(0) or self.in_session(1))
    @rule(
        side=SIDES,
        credit=st.none() | st.integers(0, 99),
        n=st.integers(1, 4),
        notice=st.sampled_from([False, False, False, True]),
    )
    def call(self, side: int, credit: int | None, n: int, notice: bool) -> None:
        for _ in range(n):
            self._caller(side).call(credit, notice)

    @precondition(lambda self: any(end.calls for end in self.ends if end))
    @rule(side=SIDES, n=st.integers(0, 99), last=st.booleans())
    def cancel(self, side: int, n: int, last: bool) -> None:
        end = self.ends[side]
        if end is not None and end.calls:
            end.cancel(end.calls[-1 - n % min(8, len(end.calls)) if last else n % len(end.calls)])

    @precondition(lambda self: any(end.core.served for end in self.ends if end))
    @rule(
        side=SIDES,
        n=st.integers(0, 99),
        what=st.sampled_from(["reply", "reply", "error", "vague", "expire", "item", "room"]),
        size=st.integers(0, 30),
    )
    def serve(self, side: int, n: int, what: str, size: int) -> None:
        end = self.ends[side]
        if end is None or not end.core.served:
            end = self.ends[1 - side]
        if what == "item":
            end.item(n, size)
        elif what == "room":
            end.allow_feeds(n, size)
        else:
            end.end(n, what)

    @precondition(lambda self: any(end.core.served for end in self.ends if end))
    @rule(
        side=SIDES,
        how=st.lists(st.sampled_from(["reply", "vague", "leave"]), max_size=3),
        n=st.integers(1, 8),
        losses=st.tuples(*[st.integers(0, 4095) | st.just(4095)] * 2),
        sides=st.sampled_from([(0,), (1,), (0, 1)]),
    )
    def break_amid_replies(
        self, side: int, how: list[str], n: int, losses: Any, sides: tuple[int, ...]
    ) -> None:
        """Some calls are ended, the caller makes more of them, then the line breaks."""
        end = self.ends[side]
        if end is None or not end.core.served:
            side = 1 - side
            end = self.ends[side]
        for i, what in enumerate(how):
            if end.core.served and what != "leave":
                end.end(i, what)
        for i in range(n):
            if i % 3 == 2 and self.in_session(1 - side):
                self.deliver(1 - side, 1)
                self.deliver(side, 2)
            if self.in_session(1 - side):
                self.ends[1 - side].call(None, False)
        self.breaks(losses, sides)

    @precondition(lambda self: any(end.core.calls for end in self.ends if end))
    @rule(
        side=SIDES,
        n=st.integers(0, 99),
        what=st.sampled_from(["grant", "grant", "feed", "feed", "fed"]),
        size=st.integers(0, 30),
    )
    def stream(self, side: int, n: int, what: str, size: int) -> None:
        self._caller(side).stream(n, what, size)

    @precondition(lambda self: not self.in_session(0))
    @rule()
    def no_call_without_a_session(self) -> None:
        if self.ends[0] is not None:
            try:
                self.ends[0].core.call(Fate(0, 0), ["x"], b"")
            except CallNotRunError:
                return
            raise AssertionError

    # ---- what holds

    @invariant()
    def tables_are_small(self) -> None:
        for end in filter(None, self.ends):
            core = end.core
            assert len(core.served) <= MAX_SERVED
            assert len(core.calls) <= self.cores.calls
            assert len(core._recent) <= self.cores.recent
            assert len(core._vague) <= self.cores.ids
            assert core.open or not (core.calls or core.served)

    @precondition(lambda self: all(self.ends))
    @rule()
    def drain(self) -> None:
        """With all delivered there is a session, both see the same calls, none is in doubt."""
        if self.unnoticed:
            self.notice()
        for end in self.ends:
            end.corked = False
            end.flush()
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
        self.agree(a, b)
        self.agree(b, a)

    def agree(self, caller: Any, callee: Any) -> None:
        assert set(caller.calls) == {ident for ident in callee.served if ident > 0}
        assert caller.outcomes is None or not caller.outcomes._doubt
        under_way = {id(fate) for fate in caller.calls.values()}
        (end,) = [end for end in self.ends if end.core is caller]
        for fate in end.calls:
            assert (fate.told is None) == (id(fate) in under_way)
            if fate.told is None and fate.streams:
                assert (fate.allowed, fate.may_send) == (fate.credit, fate.room)

    def teardown(self) -> None:
        for side in (0, 1):
            if self.ends[side] is None:
                self.start(side)
        self.drain()
        for end in self.ends:
            while end.core.served:
                end.end(0, "reply")
        self.drain()
        for end in self.ends:
            assert end.core.calls == {}
            assert end.core.served == {}
            assert None not in [fate.told for fate in end.calls]


def machine(cores: Cores) -> type[World]:
    """Return a machine for these cores."""
    return type("Pair", (World,), {"cores": cores})
