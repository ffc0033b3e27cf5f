"""Fault injection: layers that turn a good stream into a bad line.

    a, b = blk_pair()
    line = FaultBlk(a, seed=7, out=Faults(loss=0.1), inp=Faults(duplicate=0.1, delay_ms=(1, 20)))
    async with line, b:
        for i in range(10):
            await line.snd(b"%d" % i)
    assert line.out.counts.lost + len(b.inp.data) == 10

The seed decides what happens, so that a failure can be repeated. What is written is cut into
the same units each time; what is read from a byte stream may not be: there, let both ends have a
layer with faults in `out` only. Time is anyio's: trio's MockClock makes it fly.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from moat.micro import rt
from moat.micro.errors import InUseError, LinkError, LinkLost, LinkReset
from moat.micro.proto.stack import Stacked, StackedBlk, StackedBuf, StackedMsg
from moat.micro.testing._faults import Counts, Faults, Injector

__all__ = ["Counts", "FaultBlk", "FaultBuf", "FaultMsg", "Faults", "Injector"]

_CHUNK = 4096
_LINGER_S = 1.0  # for what is on its way when the layer is left


class _Flight:
    """The units that are on their way in one direction."""

    def __init__(self, line: Injector) -> None:
        self.line = line
        self.writing = False  # one that was taken is not quite there
        self._units: list[tuple[float, int, Any]] = []
        self._count = 0
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._units)

    def feed(self, unit: Any) -> list[tuple[float, Any]]:
        """Return what arrives of a unit, each with the time of that."""
        now_s = _now_s()
        return [(now_s + ms / 1000, what) for ms, what in self.line.feed(unit, now_s * 1000)]

    def add(self, arrivals: list[tuple[float, Any]]) -> None:
        """Have these arrive."""
        for due_s, unit in arrivals:
            self._count += 1
            heapq.heappush(self._units, (due_s, self._count, unit))
        self.notify()

    def clear(self) -> None:
        """Lose what is on its way."""
        self._units.clear()

    def wait_s(self) -> float:
        """Return how long it is to the next arrival; not more than 0: it is there."""
        return self._units[0][0] - _now_s() if self._units else math.inf

    def take(self) -> list[Any]:
        """Remove what has arrived; nothing is left of it when the line is cut."""
        _, _, unit = heapq.heappop(self._units)
        self.notify()
        if self.line.is_cut:
            self.line.counts.cut += 1
            return []
        return [unit]

    def notify(self) -> None:
        """Have what waits look again."""
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until that is true, after a change."""
        while not condition():
            await self._changed.wait()

    async def arrival(self) -> None:
        """Wait until a unit is there."""
        while (wait_s := self.wait_s()) > 0:
            with anyio.move_on_after(wait_s):
                await self._changed.wait()


def _now_s() -> float:
    return anyio.current_time()


class _Faulty(Stacked):
    """What the three have in common; FaultMsg tells it."""

    _of_bytes = True

    def __init__(
        self,
        parent: Any,
        seed: object = 0,
        out: Faults | None = None,
        inp: Faults | None = None,
        size: int = 1000,
    ) -> None:
        super().__init__(parent)
        self._open = False
        self.out = Injector(out or Faults(), f"{seed}/out", self._of_bytes)
        self.inp = Injector(inp or Faults(), f"{seed}/inp", self._of_bytes)
        self._size = size

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[Any]:
        self._coming, self._going = _Flight(self.inp), _Flight(self.out)
        self._writes = anyio.Lock()
        self._reading = False
        self._read_error: Exception | None = None
        self._write_error: Exception | None = None
        async with self.parent as self.s, rt.TaskGroup() as tasks:
            tasks.start_soon(self._deliver)
            self._open = True
            try:
                yield self
                with anyio.move_on_after(_LINGER_S):
                    await self._going.until(self._all_sent)
            finally:
                self._open = False
            tasks.cancel()

    def cut(self) -> None:
        """Lose all that is sent, received or on its way, until `restore`."""
        self.out.is_cut = self.inp.is_cut = True

    def restore(self) -> None:
        """End what `cut` began."""
        self.out.is_cut = self.inp.is_cut = False

    async def _write(self, unit: Any) -> None:
        """Hand a unit to the layer below."""
        raise NotImplementedError

    async def _read(self) -> Any:
        """Read a unit from the layer below."""
        raise NotImplementedError

    async def _put(self, unit: Any) -> None:
        going = self._going
        self._check_open()
        await going.until(lambda: len(going) < self._size or self._write_error)
        if self._write_error is not None:
            raise self._write_error
        arrivals = going.feed(unit)
        if len(going) or any(due_s > _now_s() for due_s, _ in arrivals):
            going.add(arrivals)
        else:
            for _, arriving in arrivals:
                async with self._writes:
                    await self._write(arriving)
        if busy_ms := self.out.busy_ms(_now_s() * 1000):
            await anyio.sleep(busy_ms / 1000)

    def _all_sent(self) -> bool:
        going = self._going
        return self._write_error is not None or not (len(going) or going.writing)

    async def _deliver(self) -> None:
        """Hand on what was delayed, each when it is due."""
        going = self._going
        try:
            while True:
                await going.arrival()
                async with self._writes:
                    going.writing = True
                    for unit in going.take():
                        await self._write(unit)
                    going.writing = False
                going.notify()
        except (EOFError, LinkError) as exc:
            self._write_error = exc
            going.notify()

    def _check_open(self) -> None:
        if not self._open:
            raise LinkLost(f"{type(self).__name__} is not open")

    async def _get(self) -> Any:
        self._check_open()
        if self._reading:
            raise InUseError("somebody reads already")
        self._reading = True
        try:
            while True:
                if self._coming.wait_s() > 0:
                    await self._fetch()
                else:
                    for unit in self._coming.take():
                        return unit
        finally:
            self._reading = False

    async def _fetch(self) -> None:
        """Read from below until what has come before is due."""
        coming = self._coming
        if self._read_error is not None or len(coming) >= self._size:
            if self._read_error is not None and not len(coming):
                raise self._read_error
            await anyio.sleep(max(0, coming.wait_s()))
            return
        got: list[Any] = []
        try:
            with anyio.move_on_after(coming.wait_s()):
                got.append(await self._read())
        except LinkReset:
            coming.clear()
            raise
        except (EOFError, LinkError) as exc:
            self._read_error = exc
        for unit in got:
            coming.add(coming.feed(unit))


class FaultBuf(_Faulty, StackedBuf):
    """A byte stream over a bad line; see FaultMsg. A unit is what one `wr` or `rd` hands on."""

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[FaultBuf]:
        self._rest = b""
        self._chunk = memoryview(bytearray(_CHUNK))
        async with super()._ctx():
            yield self

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd."""
        if not self._rest or not self._open:
            self._rest = await self._get()
        n = min(len(buf), len(self._rest))
        buf[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n

    async def wr(self, buf: Any) -> None:
        """See BaseBuf.wr."""
        if len(buf):
            await self._put(bytes(buf))

    async def _write(self, unit: Any) -> None:
        await self.s.wr(unit)

    async def _read(self) -> Any:
        n = await self.s.rd(self._chunk)
        return bytes(self._chunk[:n])


class FaultBlk(_Faulty, StackedBlk):
    """A stream of blocks over a bad line; see FaultMsg."""

    async def rcv(self) -> Any:
        """See BaseBlk.rcv."""
        return await self._get()

    async def snd(self, buf: Any) -> None:
        """See BaseBlk.snd."""
        await self._put(bytes(buf))

    async def _write(self, unit: Any) -> None:
        await self.s.snd(unit)

    async def _read(self) -> Any:
        return bytes(await self.s.rcv())


class FaultMsg(_Faulty, StackedMsg):
    """A stream of messages over a bad line.

    Sending raises the errors of the layer below at once, or at the next call when the unit has
    been delayed. Leaving the layer waits up to a second for what is on its way. Cancelling a
    writer that waits leaves its unit out, or on its way.

    Args:
        parent: the stream below.
        seed: of the random numbers.
        out: what happens to what is sent.
        inp: what happens to what is received.
        size: units that may be on their way in a direction; then a writer waits.

    Attributes:
        out: the line in this direction: `counts` says what was done, `faults` may be changed.
        inp: the other one.
    """

    _of_bytes = False

    async def recv(self) -> Any:
        """See BaseMsg.recv."""
        return await self._get()

    async def send(self, msg: Any) -> None:
        """See BaseMsg.send."""
        await self._put(msg)

    async def _write(self, unit: Any) -> None:
        await self.s.send(unit)

    async def _read(self) -> Any:
        return await self.s.recv()
