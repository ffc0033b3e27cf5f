"""The conformance suites notice streams that break their contract."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, LinkReset
from moat.micro.proto.stack import StackedBlk, StackedBuf, StackedMsg
from moat.micro.testing.memory import blk_pair, buf_pair, msg_pair
from tests.contract.test_every_stream import registered

registered("host")  # makes them importable
pairs = importlib.import_module("_pair")
CHECKS = vars(importlib.import_module("_checks")) | vars(importlib.import_module("_more"))


class LosesARead(StackedBuf):
    async def rd(self, buf: Any) -> int:
        n = await self.s.rd(buf)
        await rt.sleep_ms(0)
        return n


class LosesAMessage(StackedMsg):
    async def recv(self) -> Any:
        msg = await self.s.recv()
        await rt.sleep_ms(0)
        return msg


class LeavesAHalf(StackedBuf):
    async def wr(self, buf: Any) -> None:
        for i in range(0, len(buf), 100):
            self.s._rest = b""  # what the lower layer would mend
            await self.s.wr(buf[i : i + 100])


class SendsTwice(StackedMsg):
    _rest: list[Any] | None = None

    async def send(self, msg: Any) -> None:
        for m in [*(self._rest or []), msg]:
            self._rest = [msg]
            await self.s.send(m)
            for _ in range(5):  # trio runs tasks in any order: one chance would not do
                await rt.sleep_ms(0)
        self._rest = None


class HasNoGuard(StackedBuf):
    async def rd(self, buf: Any) -> int:
        while True:
            try:
                return await self.s.rd(buf)
            except InUseError:
                await rt.sleep_ms(0)


class EndsAsLost(StackedBuf):
    async def rd(self, buf: Any) -> int:
        try:
            return await self.s.rd(buf)
        except EOFError:
            raise LinkLost("end") from None


class BreaksAsEnd(StackedBuf):
    async def rd(self, buf: Any) -> int:
        try:
            return await self.s.rd(buf)
        except LinkLost:
            raise EOFError from None


class DropsTheRest(StackedMsg):
    async def recv(self) -> Any:
        msg = await self.s.recv()
        if self.s.inp.ended is not None:
            raise EOFError
        return msg


class TakesAll(StackedBlk):
    async def snd(self, buf: Any) -> None:
        await rt.sleep_ms(0)
        self.s.out.put([bytes(buf)])


class KeepsTheBuffer(StackedBuf):
    last: Any = b""

    async def wr(self, buf: Any) -> None:
        self.s.out.put(self.last)
        self.last = buf


class EntersTwice(StackedBuf):
    async def __aenter__(self) -> Any:
        return self if self._cm is not None else await super().__aenter__()


class IsOpenForEver(StackedMsg):
    async def recv(self) -> Any:
        return await self.s.recv() if self.s.open else None


class CannotComeBack(StackedMsg):
    used = False

    async def __aenter__(self) -> Any:
        if self.used:
            raise LinkLost("used")
        self.used = True
        return await super().__aenter__()


class KeepsTheOld(StackedMsg):
    old: Any = ()

    @rt.asynccontextmanager
    async def _ctx(self):
        async with self.parent as self.s:
            yield self
            self.old = list(self.s.inp.data)

    async def recv(self) -> Any:
        return self.old.pop() if self.old else await self.s.recv()


class ForgetsTheFirst(StackedMsg):
    @rt.asynccontextmanager
    async def _ctx(self):
        async with self.parent as self.s:
            self.s.inp.clear()
            yield self


class FlushesForEver(StackedMsg):
    async def flush(self) -> None:
        await rt.Event().wait()


class HidesResets(StackedMsg):
    async def recv(self) -> Any:
        while True:
            try:
                return await self.s.recv()
            except LinkReset:
                continue


class HasNoConsole(StackedBuf):
    async def cwr(self, buf: Any) -> None:
        pass


class Joins(StackedBlk):
    async def rcv(self) -> Any:
        block = await self.s.rcv()
        while self.s.inp.data and len(block) < 4:
            block += await self.s.rcv()
        return block


class ChangesTypes(StackedMsg):
    async def recv(self) -> Any:
        msg = await self.s.recv()
        return bytearray(msg) if isinstance(msg, bytes) else msg


class FillsTheBuffer(StackedBuf):
    async def rd(self, buf: Any) -> int:
        part = bytearray(1)
        for i in range(len(buf)):
            await self.s.rd(part)
            buf[i] = part[0]
        return len(buf)


NOTICED = [
    (LosesARead, "a_cancelled_read_loses_nothing"),
    (LosesAMessage, "a_cancelled_read_loses_nothing"),
    (LeavesAHalf, "a_cancelled_write_leaves_no_half"),
    (SendsTwice, "a_cancelled_write_leaves_no_half"),
    (HasNoGuard, "a_second_reader_is_refused"),
    (EndsAsLost, "the_peer_leaves"),
    (EndsAsLost, "the_peer_leaves_while_we_read"),
    (BreaksAsEnd, "a_broken_link_ends_everything"),
    (DropsTheRest, "the_peer_leaves"),
    (TakesAll, "a_writer_waits_for_the_reader"),
    (TakesAll, "writing_to_a_peer_that_left_fails"),
    (TakesAll, "a_broken_link_wakes_a_writer"),
    (KeepsTheBuffer, "what_was_written_may_be_overwritten"),
    (EntersTwice, "entering_twice_is_an_error_and_harmless"),
    (IsOpenForEver, "left_it_is_closed"),
    (CannotComeBack, "it_can_be_entered_again"),
    (CannotComeBack, "cancelled_while_it_opens_it_can_be_tried_again"),
    (KeepsTheOld, "it_can_be_entered_again"),
    (ForgetsTheFirst, "what_came_before_it_was_entered_is_read"),
    (FlushesForEver, "what_was_sent_can_be_flushed"),
    (HidesResets, "a_reset_is_raised_once"),
    (HasNoConsole, "console_bytes_pass"),
    (StackedBuf, "without_a_console_it_says_so"),
    (Joins, "blocks_keep_their_bounds"),
    (ChangesTypes, "messages_arrive_as_they_were"),
    (FillsTheBuffer, "rd_gives_what_is_there"),
    (FillsTheBuffer, "order_is_kept"),
]


def maker_of(cls: Any) -> Any:
    """Pairs of `cls` over memory pairs."""
    kind, make, fills = pairs.BUF, lambda: buf_pair(1000, 300, console=50), 0
    if issubclass(cls, StackedMsg):
        kind, make, fills = pairs.MSG, lambda: msg_pair(2, console=50), 2
    elif issubclass(cls, StackedBlk):
        kind, make, fills = pairs.BLK, lambda: blk_pair(2, console=50), 2

    async def pair(p: Any) -> Any:
        a, b = make()
        p.cut, p.reset = a.break_, a.reset
        yield p.of(cls(a), cls(b))

    return pairs.Maker(kind, cls.__name__, pair, console=True, holds=50_000, fills=fills)


@pytest.mark.parametrize(("cls", "check"), NOTICED)
async def test_it_notices(cls: Any, check: str) -> None:
    run: Callable[[Any], Any] = CHECKS[check]
    with pytest.raises((AssertionError, EOFError, InUseError, LinkLost, TimeoutError)):
        with anyio.fail_after(0.3):
            await run(maker_of(cls))
