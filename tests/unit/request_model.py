"""An end of the request protocol for tests: a core, and what has really happened to each call.

request_world.py has two of them.
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

from msgpack import packb, unpackb

from moat.micro.cmd._auth import Auth
from moat.micro.cmd._request import REFUSED, SESSION
from moat.micro.cmd._wire import (
    CALL,
    CANCEL,
    CREDIT,
    ERROR,
    FED,
    FEED,
    ITEM,
    REPLY,
    ROOM,
)
from moat.micro.errors import BusyError
from tests.unit.key_cases import KEY, nonce

MAX_SERVED = 4
NOT_RUN, DONE, UNKNOWN = "CallNotRunError", "CallDoneError", "CallUnknownError"

_MODULES = ("_checks", "_options", "_caller", "_outcome", "_request")
_PACKAGE = "moat.micro.cmd."
_numbers = count()


@dataclass
class Cores:
    """The module of the cores, with its limits."""

    module: ModuleType
    ids: int = 255
    calls: int = 95
    recent: int = 64
    keys: bool = False  # the ends have to prove one


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

    def __init__(self, world: Any, side: int, incarnation: int):
        # Bits that ID_BITS leaves free.
        own = (incarnation & 15) << 12 | (incarnation >> 4 & 7) << 16 | (incarnation >> 7) << 20
        self.world = world
        self.side = side
        self.core = world.cores.module.Requests(own, max_served=MAX_SERVED)
        if world.cores.keys:
            Auth(KEY, side == 1, nonce).begin(self.core)
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
