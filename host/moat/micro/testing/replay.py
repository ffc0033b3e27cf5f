"""Streams that play back what was captured (proto.capture): for tests without the device.

Reads give what was captured, errors included, and at once: times are not played back. Writes are
compared with the captured ones, and a read waits until all has been written that was written
before it. So a captured session answers its requests.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

from msgpack import packb, unpackb

from moat.micro import rt
from moat.micro.cmd._errors import from_wire
from moat.micro.errors import InUseError, LinkLost
from moat.micro.proto.capture import Record, read_capture
from moat.micro.proto.stack import Base, BaseBlk, BaseBuf, BaseMsg

__all__ = ["ReplayBlk", "ReplayBuf", "ReplayError", "ReplayMsg"]


class ReplayError(AssertionError):
    """What is written is not what was written when the session was captured."""


class _Step:
    """Data that were read or written, and the error that this ended with."""

    def __init__(self, place: float, record: Record) -> None:
        self.place = place  # in the capture
        self.data = record.data or b""
        self.error = record.error

    def end(self) -> None:
        """Raise the error, if there was one."""
        if self.error is not None:
            raise from_wire(list(self.error))


class _Lane:
    """The steps of one operation that are still to come."""

    def __init__(self, writes: bool) -> None:
        self.writes = writes
        self.steps: deque[_Step] = deque()
        self.done = 0  # steps that are over
        self.busy = False  # somebody reads

    def add(self, place: int, record: Record) -> None:
        """Append a record. An error of a write belongs to the data, which stand before it."""
        if self.writes and record.error and self.steps and not self.steps[-1].error:
            self.steps[-1].error = record.error
        else:
            self.steps.append(_Step(place, record))

    @property
    def place(self) -> float:
        """The place of the next step."""
        return self.steps[0].place if self.steps else math.inf

    @property
    def data(self) -> bytes:
        """What is left of the data of the next step."""
        return self.steps[0].data if self.steps else b""

    def use(self, n: int) -> None:
        """Take `n` bytes of that; the last ones end the step, maybe with an error."""
        step = self.steps[0]
        step.data = step.data[n:]
        if not step.data:
            self.done += 1
            self.steps.popleft()
            step.end()


class _Session:
    """What happened from entering to leaving."""

    def __init__(self, reads: str, writes: str, compare: bool) -> None:
        self._compare = compare
        self._failed = ""
        self._changed = rt.Event()
        self._lanes = {op: _Lane(op in (writes, "cwr")) for op in (reads, writes, "crd", "cwr")}
        self._writes = self._lanes[writes], self._lanes["cwr"]

    def add(self, place: int, record: Record) -> None:
        """Append a record. ValueError: it is none of this kind of stream."""
        if record.op not in self._lanes:
            known = ", ".join(self._lanes)
            raise ValueError(f"the capture has {record.op!r}; this replays {known}")
        self._lanes[record.op].add(place, record)

    @property
    def unused(self) -> int:
        """The number of steps that are still to come."""
        lanes = self._lanes.values()
        return sum(len(x.steps) for x in lanes if self._compare or not x.writes)

    async def read(self, op: str, n: int | None = None) -> bytes:
        """The next captured data, at most `n` bytes of them."""
        lane = self._lanes[op]
        if lane.busy:
            raise InUseError("somebody reads already")
        lane.busy = True
        try:
            while not self._due(lane):
                self._changed.clear()
                await self._changed.wait()
        finally:
            lane.busy = False
        data = lane.data[:n]
        lane.use(len(data))
        return data

    def _due(self, lane: _Lane) -> bool:
        if self._failed:
            raise ReplayError(self._failed)
        if not lane.steps:
            raise EOFError
        return not self._compare or all(lane.place < w.place for w in self._writes)

    async def write(self, op: str, data: bytes) -> None:
        """Compare with what was captured, however that was cut into pieces."""
        await rt.sleep_ms(0)
        lane = self._lanes[op]
        while self._compare and data:
            n = min(len(lane.data), len(data))
            if not lane.steps or lane.data[:n] != data[:n]:
                self._fail(op, lane.data.hex(" "), data.hex(" "))
            data = data[n:]
            self._use(lane, n)

    async def write_one(self, op: str, data: bytes) -> None:
        """Compare one block, or one message, with the captured one."""
        await rt.sleep_ms(0)
        if not self._compare:
            return
        lane = self._lanes[op]
        if op == "send":
            same = bool(lane.data) and _decoded(lane.data) == _decoded(data)
            shown = [repr(_decoded(x)) if x else "" for x in (lane.data, data)]
        else:
            same = bool(lane.steps) and lane.data == data
            shown = [lane.data.hex(" "), data.hex(" ")]
        if not same:
            self._fail(op, *shown)
        self._use(lane, len(lane.data))

    def _use(self, lane: _Lane, n: int) -> None:
        try:
            lane.use(n)
        finally:
            self._changed.set()

    def _fail(self, op: str, expected: str, got: str) -> NoReturn:
        at = next((i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), 0)
        start = max(0, at - 60)
        self._failed = (
            f"{op} number {self._lanes[op].done + 1} differs from the capture"
            f"\n  captured: {expected[start : start + 200] or 'nothing more'}"
            f"\n  written:  {got[start : start + 200]}"
        )
        self._changed.set()
        raise ReplayError(self._failed)


def _decoded(data: bytes) -> object:
    return unpackb(data, strict_map_key=False)


class _Replay(Base):
    """A capture file; each entering plays the next session of it.

    Args:
        path: of the capture.
        compare: writes have to be the captured ones: else ReplayError, at once for the writer and
            at its next read for the reader. False: anything may be written, reads do not wait.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no capture, or one of another kind of stream.
    """

    _reads = _writes = ""
    _session: _Session | None = None

    def __init__(self, path: str | Path, compare: bool = True) -> None:
        self._to_come: deque[tuple[Record, _Session]] = deque()
        for place, record in enumerate(read_capture(path)):
            if record.op == "enter":
                self._to_come.append((record, _Session(self._reads, self._writes, compare)))
            elif record.op != "leave":
                if not self._to_come:
                    raise ValueError(f"{path}: data before the stream was entered")
                self._to_come[-1][1].add(place, record)

    @property
    def unused(self) -> int:
        """How many records were not played yet: 0 at the end of a complete replay."""
        sessions = [session for _, session in self._to_come]
        if self._session is not None:
            sessions.append(self._session)
        return sum(session.unused for session in sessions)

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[Self]:
        await rt.sleep_ms(0)
        if not self._to_come:
            raise LinkLost("there are no more sessions in the capture")
        record, self._session = self._to_come.popleft()
        if record.error is not None:
            raise from_wire(list(record.error))
        yield self

    @property
    def _now(self) -> _Session:
        if self._session is None:
            raise LinkLost("the stream is not open")
        return self._session

    async def _rd(self, op: str, buf: Any) -> int:
        data = await self._now.read(op, len(buf))
        buf[: len(data)] = data
        return len(data)

    async def crd(self, buf: Any) -> int:
        """See Base.crd."""
        return await self._rd("crd", buf)

    async def cwr(self, buf: Any) -> None:
        """See Base.cwr."""
        await self._now.write("cwr", bytes(buf))


class ReplayBuf(_Replay, BaseBuf):
    """Plays back what a LogBuf has captured; see the module, and _Replay for the arguments."""

    _reads, _writes = "rd", "wr"

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd."""
        return await self._rd("rd", buf)

    async def wr(self, buf: Any) -> None:
        """See BaseBuf.wr. ReplayError: these are not the captured bytes."""
        await self._now.write("wr", bytes(buf))


class ReplayBlk(_Replay, BaseBlk):
    """Plays back what a LogBlk has captured; see the module, and _Replay for the arguments."""

    _reads, _writes = "rcv", "snd"

    async def rcv(self) -> bytes:
        """See BaseBlk.rcv."""
        return await self._now.read("rcv")

    async def snd(self, buf: Any) -> None:
        """See BaseBlk.snd. ReplayError: this is not the captured block."""
        await self._now.write_one("snd", bytes(buf))


class ReplayMsg(_Replay, BaseMsg):
    """Plays back what a LogMsg has captured; see the module, and _Replay for the arguments."""

    _reads, _writes = "recv", "send"

    async def recv(self) -> Any:
        """See BaseMsg.recv."""
        return _decoded(await self._now.read("recv"))

    async def send(self, msg: Any) -> None:
        """See BaseMsg.send. ReplayError: this is not the captured message."""
        await self._now.write_one("send", packb(msg))
