"""CPU time of ReliableMsg per message, in memory and without loss, against a bare memory stream.

On asyncio. One task sends, another one receives, 2000 messages at a time. Ours goes through two
ReliableMsg with a window of 16, whose link are two memory object streams of anyio; the bare hop
is one such stream, with a buffer of 16.

Most of such a hop is the event loop: each step of a task costs more than what it does there. So
the bare hop is given as many steps as ours has. They are counted, in a run of its own that is
not timed: each task is made of an object that counts the calls of its coroutine's `send`. For
every so many messages the bare receiver then yields once more (`anyio.lowlevel.checkpoint`):
the largest share for which the hop does not take more steps than ours. `steps` and `bare_steps`
are both counts, `us` and `bare_us` the times per message, `plain` is the ratio to a hop without
additional steps. Times are process times, medians of runs in turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from bench._figure import Figure, at_most
from bench._rounds import in_turn
from bench._stream import WINDOW
from moat.micro import rt
from moat.micro.proto.reliable import ReliableMsg
from moat.micro.proto.stack import BaseMsg

__all__ = ("measure",)

_COUNT = 2000
_ROUNDS = 15
_FINE = 20  # shares of an additional step that are tried


class _Link(BaseMsg):
    """One end of a line made of two memory object streams."""

    def __init__(self, inp: Any, out: Any) -> None:
        self.recv = inp.receive
        self.send = out.send


def _line() -> tuple[_Link, _Link]:
    to_b, at_b = anyio.create_memory_object_stream[Any](WINDOW)
    to_a, at_a = anyio.create_memory_object_stream[Any](WINDOW)
    return _Link(at_a, to_b), _Link(at_b, to_a)


class _Counted(Coroutine[Any, Any, Any]):
    """A coroutine whose steps are counted."""

    steps = 0  # of all

    def __init__(self, coro: Any) -> None:
        self._coro = coro

    def send(self, value: Any) -> Any:
        _Counted.steps += 1
        return self._coro.send(value)

    def throw(self, *args: Any) -> Any:
        _Counted.steps += 1
        return self._coro.throw(*args)

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coro.__await__()


@contextmanager
def _counting() -> Iterator[None]:
    """Tasks that are made in here count their steps."""
    loop = asyncio.get_running_loop()

    def make(loop: Any, coro: Any, **kw: Any) -> Any:
        return asyncio.Task(_Counted(coro), loop=loop, **kw)

    loop.set_task_factory(make)
    try:
        yield
    finally:
        loop.set_task_factory(None)


async def _steps(run: Callable[[], Awaitable[None]]) -> float:
    """Steps of counted tasks per message."""
    before = _Counted.steps
    await run()
    return (_Counted.steps - before) / _COUNT


async def _both(*functions: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with rt.TaskGroup() as tasks:
        for function in functions:
            tasks.start_soon(function)


@asynccontextmanager
async def _reliable() -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What sends the messages through two ReliableMsg, which are open."""
    x, y = _line()
    async with ReliableMsg(x, window=WINDOW) as a, ReliableMsg(y, window=WINDOW) as b:

        async def send() -> None:
            for i in range(_COUNT):
                await a.send(i)

        async def receive() -> None:
            for i in range(_COUNT):
                if await b.recv() != i:
                    raise RuntimeError("a message is wrong")

        await _both(send, receive)
        yield lambda: _both(send, receive)


def _bare(share: float) -> Callable[[], Awaitable[None]]:
    """What sends them through one stream, with a share of an additional step per message."""
    to, at = anyio.create_memory_object_stream[Any](WINDOW)

    async def send() -> None:
        for i in range(_COUNT):
            await to.send(i)

    async def receive() -> None:
        owed = 0.0
        for i in range(_COUNT):
            if await at.receive() != i:
                raise RuntimeError("a message is wrong")
            owed += share
            while owed >= 1:
                owed -= 1
                await checkpoint()

    return lambda: _both(send, receive)


async def _matched(steps: float) -> tuple[float, float]:
    """The largest share with which the bare hop has at most so many steps, and these."""
    best = 0.0, await _steps(_bare(0))
    i = 1
    while (found := await _steps(_bare(i / _FINE))) <= steps:
        best = i / _FINE, found
        i += 1
    return best


async def measure() -> list[Figure]:
    """The ratio of the medians, and what it is made of."""
    with _counting():
        async with _reliable() as run:
            steps = await _steps(run)
        share, bare_steps = await _matched(steps)
    async with _reliable() as run:
        actions = {"ours": run, "bare": _bare(share), "plain": _bare(0)}
        median = await in_turn(
            actions, rounds=_ROUNDS, calls=1, warm_up=1, clock=time.process_time
        )
    name = "reliable_cpu"
    return [
        Figure(name, median["ours"] / median["bare"], "x bare hop", at_most(4)),
        Figure(f"{name}.steps", steps, "task steps/message"),
        Figure(f"{name}.bare_steps", bare_steps, "task steps/message"),
        Figure(f"{name}.us", median["ours"] / _COUNT * 1e6, "us/message"),
        Figure(f"{name}.bare_us", median["bare"] / _COUNT * 1e6, "us/message"),
        Figure(f"{name}.plain", median["ours"] / median["plain"], "x hop of its own steps"),
    ]
