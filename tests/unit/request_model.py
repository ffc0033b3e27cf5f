"""Two request cores, what is between them, and what has really happened to each call.

The line loses messages when it breaks, anywhere among those that are on their way; at once or
later one end notices it, or both do. Ends start anew, leave, meet a peer of another version.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgpack import packb, unpackb

from moat.micro.cmd._request import REFUSED, SESSION
from moat.micro.cmd._wire import (
    BYE,
    CALL,
    CANCEL,
    CREDIT,
    ERROR,
    FED,
    FEED,
    HELLO,
    ID_BITS,
    ITEM,
    REPLY,
    ROOM,
    VERSION,
)
from moat.micro.errors import BusyError, LinkLost

MAX_SERVED = 4
NOT_RUN, DONE, UNKNOWN = "CallNotRunError", "CallDoneError", "CallUnknownError"
SIDES = st.sampled_from([0, 1])

_MODULES = ("_checks", "_caller", "_outcome", "_request")
_PACKAGE = "moat.micro.cmd."
_numbers = count()


@dataclass
class Cores:
    """The module of the cores, with its limits."""

    module: ModuleType
    ids: int = 255
    calls: int = 95
    recent: int = 64


def load(small: bool = True, mutant: tuple[str, str, str] | None = None) -> Cores:
    """Return the cores; `small`: with few ids and a short memory; `mutant`: with a text replaced.

    The limits have the same relation as the real ones: an id comes again when the call that had
    it before is neither on its way nor remembered.
    """
    prefix = f"request_{next(_numbers)}"
    cores = Cores(ModuleType(""), 14, 4, 4) if small else Cores(ModuleType(""))
    for name in _MODULES:
        path = Path(str(import_module(_PACKAGE + name).__file__))
        source = path.read_text(encoding="utf-8")
        if mutant and mutant[0] == name:
            assert source.count(mutant[1]) == 1, f"{mutant[1]!r}: {source.count(mutant[1])} times"
            source = source.replace(mutant[1], mutant[2])
        for other in _MODULES:
            source = source.replace(_PACKAGE + other, prefix + other)
        new = sys.modules[prefix + name] = ModuleType(prefix + name)
        exec(compile(source, str(path), "exec"), new.__dict__)  # noqa: S102
        if small:
            for key, value in (("_IDS", 14), ("_MAX_CALLS", 4), ("RECENT", 4)):
                if key in new.__dict__:
                    setattr(new, key, value)
        cores.module = new
    return cores


@dataclass
class Fate:
    """What has happened to a call."""

    number: int
    peer: int  # who was called
    notice: bool = False
    ident: int = 0
    order: int = 0  # set by the core
    arrived: bool = False  # it was run
    ended: bool = False  # by its command
    vague: bool = False  # the command is elsewhere, and may not have ended
    never: bool = False  # its caller has been told that it was not run
    told: Any = None  # what its caller has been told
    # at the caller
    may_send: int = 0
    allowed: int = 0
    fed: bool = False
    # at the callee
    credit: int = 0
    room: int = 0
    over: bool = False
    streams: bool = False


class End:
    """One end, from its start until it is started anew; it does what CmdMsg would."""

    def __init__(self, world: World, side: int, incarnation: int):
        # Bits that ID_BITS leaves free.
        own = (incarnation & 15) << 12 | (incarnation >> 4 & 7) << 16 | (incarnation >> 7) << 20
        self.world = world
        self.side = side
        self.core = world.cores.module.Requests(own, max_served=MAX_SERVED)
        self.line: deque[bytes] = deque()  # what the peer is going to receive
        self.calls: list[Fate] = []
        self.corked = False
        self.post(self.core.hello())

    # ---- sending

    def post(self, msg: Any) -> None:
        if msg is not None:
            self.core.out.append(msg)
        self.flush()

    def flush(self) -> None:
        if not self.corked:
            self.line.extend(packb(msg) for msg in self.core.out)
            self.core.out.clear()

    # ---- as a caller

    def call(self, credit: int | None, notice: bool) -> None:
        core = self.core
        fate = Fate(
            len(self.world.fates),
            core.peer >> 8,
            notice,
            allowed=credit or 0,
            streams=credit is not None,
        )
        self.world.fates[fate.number] = fate
        data = packb(fate.number)
        try:
            fate.ident, msg = core.call(
                None if notice else fate, ["x"], data, None if notice else credit
            )
        except BusyError:
            assert notice or len(core.calls) == self.world.cores.calls
            return
        if not notice:
            self.calls.append(fate)
        self.post(msg)

    def tell(self, fate: Fate, what: str) -> None:
        assert fate.told is None, f"{fate.told}, and then {what}"
        fate.told = what

    def cancel(self, fate: Fate) -> None:
        msg = self.core.cancel(fate.ident, fate)
        if fate.told is None:
            self.tell(fate, "cancelled")
        else:
            assert msg is None
        self.post(msg)

    def lost(self, fate: Fate, name: str, final: bool) -> None:
        """The session is over, and this is what is known of a call."""
        if name == NOT_RUN:
            assert not fate.arrived, "it was run"
            fate.never = True
        elif name == DONE:
            assert fate.ended, "it has not ended"
            assert not fate.vague, "it may not have ended"
        else:
            assert name == UNKNOWN
            later = self.core.called - fate.order
            assert (
                final
                or (fate.arrived and not fate.ended)
                or fate.vague
                or later >= self.world.cores.recent
                or fate.peer != self.world.ends[1 - self.side].core.own >> 8
            ), "it could be known"
        self.tell(fate, name)

    # ---- receiving

    def receive(self, msg: Any) -> None:
        event = self.core.receive(msg)
        if event is not None:
            self.event(event)
        self.flush()

    def event(self, event: Any) -> None:
        kind = event[0]
        if kind in (SESSION, REFUSED):
            assert all(isinstance(x, Fate) for x in event[2])
            for fate, err in event[1]:
                self.lost(fate, err[0], kind == REFUSED)
        elif kind == CALL:
            self.serve(event[1], event[2])
        elif kind in (CANCEL, CREDIT, FEED, FED):
            self.served(kind, event[1], event[2:])
        else:
            self.answer(kind, event[1], event[2:])

    def serve(self, ident: int, msg: Any) -> None:
        fate = self.world.fates[unpackb(msg[3])]
        assert msg[2] == ["x"]
        assert not fate.arrived, "it is run twice"
        assert not fate.never, "its caller was told that it is not run"
        assert (fate.ident, fate.notice) == (max(ident, 0), ident < 0)
        assert fate.peer == self.core.own >> 8
        fate.arrived = True
        fate.credit = (msg[4] or 0) if len(msg) > 4 else 0
        self.core.served[ident] = fate

    def served(self, kind: int, fate: Fate, rest: Any) -> None:
        if kind == CANCEL:
            (ident,) = [i for i, f in self.core.served.items() if f is fate]
            if fate.number % 2:  # else it takes a while
                fate.ended = True
                self.core.out.append(self.core.error(ident, ["CancelledError"]))
        elif kind == CREDIT:
            fate.credit += rest[0]
        elif kind == FED:
            fate.over = True
        else:
            assert not fate.over
            assert fate.room > 0, "more than was allowed"
            fate.room -= len(rest[0]) + 1
            assert unpackb(rest[0]) == [fate.number, rest[1]]

    def answer(self, kind: int, fate: Fate, rest: Any) -> None:
        assert fate.told is None
        if kind == ROOM:
            fate.may_send += rest[0]
        elif kind == ITEM:
            assert fate.allowed > 0, "more than was allowed"
            fate.allowed -= len(rest[0]) + 1
            assert unpackb(rest[0]) == [fate.number, rest[1]]
        elif kind == REPLY:
            assert unpackb(rest[0]) == fate.number
            assert fate.ended
            self.tell(fate, "result")
        else:
            assert kind == ERROR
            if rest[0][0] == "BusyError":
                assert not fate.arrived
                fate.never = True
            else:
                assert rest[0] == ["ValueError", fate.number]
            self.tell(fate, "error")

    # ---- as a callee

    def end(self, n: int, how: str) -> None:
        """End a call that is served."""
        ident, fate = list(self.core.served.items())[n % len(self.core.served)]
        err = ["ValueError", fate.number]
        if how == "expire" and ident > 0:
            number = self.core.detach(ident)
            assert self.core.served[number] is fate
        if how == "reply":
            msg = self.core.reply(ident, packb(fate.number))
        else:
            fate.vague = fate.vague or (how == "vague" and ident > 0)
            msg = self.core.error(ident, err, None, how != "vague")
        fate.ended = True
        assert (msg is None) == (ident < 0)
        self.post(msg)

    def item(self, n: int, dropped: int) -> None:
        ident, fate = list(self.core.served.items())[n % len(self.core.served)]
        if ident > 0 and fate.credit > 0:
            data = packb([fate.number, dropped])
            fate.credit -= len(data) + 1
            self.post(self.core.item(ident, data, dropped))

    def allow_feeds(self, n: int, size: int) -> None:
        ident, fate = list(self.core.served.items())[n % len(self.core.served)]
        if ident > 0:
            fate.room += size
            self.post(self.core.room(ident, size))

    # ---- as a caller of a stream

    def stream(self, n: int, what: str, size: int) -> None:
        """Do something about a call of ours that is under way."""
        mine = [f for f in self.core.calls.values() if f is not None and f.told is None]
        if not mine:
            return
        fate = mine[n % len(mine)]
        assert self.core.mine(fate.ident, fate)
        if what == "grant":
            fate.allowed += size
            self.post(self.core.grant(fate.ident, size))
        elif what == "fed":
            fate.fed = True
            self.post(self.core.fed(fate.ident))
        elif fate.may_send > 0 and not fate.fed:
            data = packb([fate.number, size])
            fate.may_send -= len(data) + 1
            self.post(self.core.feed(fate.ident, data, size))


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
            if self.in_session(1 - side):
                if i % 3 == 2:
                    self.deliver(1 - side, 1)
                    self.deliver(side, 2)
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
            except LinkLost:
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
