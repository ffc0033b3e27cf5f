"""Calls and streams of all kinds, most of which are cut short; and what they leave behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio

from moat.micro.cmd.tree import Dispatch
from moat.micro.device import Command, Device
from tests.system.load_app import App

__all__ = ("ABANDONED", "FILES", "KINDS", "Load", "root")

FILES = {
    "app/load.py": Path(__file__).with_name("load_app.py").read_text(encoding="utf-8"),
}
_TRIALS = 3
_READINGS = 5  # a task that has ended is kept for a while, see bench/heap_lossy.py
_VALUES = [
    None,
    True,
    -1,
    2**40,
    0.5,
    "text",
    b"\x03" * 300,
    [1, [2, {"a": "ü"}]],
    list(range(90)),
]

Kind = Callable[[Any, Random], Awaitable[None]]


def root() -> Dispatch:
    """What the host serves the device."""
    return Dispatch({"load": App()})


async def _in_time(fn: Callable[..., Any], *args: Any, s: float) -> None:
    """Cancel it after so many seconds, without a deadline that travels along."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fn, *args)
        await anyio.sleep(s)
        tasks.cancel_scope.cancel()


async def _wait(load: Command) -> None:
    await load.wait()


# ---- what ends by itself


async def call(load: Command, random: Random) -> None:
    """A call with its result."""
    value = random.choice(_VALUES)
    assert await load.echo(value) == value


async def error(load: Command, random: Random) -> None:
    """A call that fails."""
    text = str(random.random())
    try:
        await load.fail(text).using(traceback=random.random() < 0.5)
    except ValueError as exc:
        assert exc.args == (text,)  # noqa: PT017 -- pytest.raises is slow
    else:
        raise AssertionError("there was no error")


async def one_way(load: Command, _random: Random) -> None:
    """A call without a reply."""
    load.note().send()


async def traced(load: Command, _random: Random) -> None:
    """A call with its trace."""
    request = load.echo(1).using(trace=True)
    assert await request == 1
    assert request.trace


async def call_back(load: Command, random: Random) -> None:
    """A call of the device."""
    value = random.choice(_VALUES)
    assert await load.call_back(value) == value


async def stream_out(load: Command, random: Random) -> None:
    """A stream from the device."""
    n, size = random.randint(0, 60), random.choice([0, 0, 100])
    async with load.out(n, size) as st:
        assert [value async for value in st] == [[i, bytes(size)] for i in range(n)]
        assert st.result == n


async def stream_into(load: Command, random: Random) -> None:
    """A stream to the device."""
    n = random.randint(0, 60)
    async with load.into() as st:
        for i in range(n):
            await st.send(i)
        await st.finish()
        assert [value async for value in st] == []
        assert st.result == sum(range(n))


async def stream_both(load: Command, random: Random) -> None:
    """A stream both ways."""
    async with load.both() as st:
        for _ in range(random.randint(0, 20)):
            value = random.choice(_VALUES)
            await st.send(value)
            assert await st.recv() == value
        await st.finish()
        assert [value async for value in st] == []


async def kept(load: Command, random: Random) -> None:
    """A stream of which a slow reader gets the latest values; all are counted."""
    n = random.choice([20, 200])
    got = list[int]()
    async with load.out(n, 200).using(keep=random.choice([1, 8])) as st:
        async for i, _ in st:
            got.append(i)
            await anyio.sleep(0.001)
    assert got == sorted(got)
    assert len(got) + st.dropped == n
    assert got[-1] == n - 1


async def out_back(load: Command, random: Random) -> None:
    """A stream that the device reads, to its end or not."""
    n = random.randint(1, 20)
    some = random.randint(1, n)
    assert await load.out_back(n, some) == some


async def into_back(load: Command, random: Random) -> None:
    """A stream that the device sends."""
    n = random.randint(0, 20)
    assert await load.into_back(n) == sum(range(n))


# ---- what is cut short


async def cancelled(load: Command, random: Random) -> None:
    """A call that is cancelled, perhaps before it has been sent."""
    await _in_time(_wait, load, s=random.choice([0, 0, 0.002, 0.01]))


async def deadline(load: Command, random: Random) -> None:
    """A call whose time is over."""
    with anyio.move_on_after(random.choice([0, 0.001, 0.005, 0.02])):
        await load.wait()
        raise AssertionError("it has ended")


async def late(load: Command, random: Random) -> None:
    """A call that perhaps has enough time."""
    with anyio.move_on_after(random.choice([0.001, 0.01, 5])):
        assert await load.echo(1) == 1


async def left_out(load: Command, random: Random) -> None:
    """A stream from the device that is left, read or not."""
    keep = random.choice([0, 0, 1, 8])
    async with load.out(1000, random.choice([0, 100])).using(keep=keep) as st:
        with suppress(EOFError):  # what is left out makes it short
            for _ in range(random.choice([0, 0, 1, 5])):
                await st.recv()


async def left_ticks(load: Command, random: Random) -> None:
    """A stream at a rate that is left."""
    async with load.ticks(random.choice([1, 2])) as st:
        for _ in range(random.choice([0, 1, 2])):
            await st.recv()


async def left_into(load: Command, random: Random) -> None:
    """A stream to the device that is left."""
    async with load.into() as st:
        for i in range(random.choice([0, 1, 5])):
            await st.send(i)
        if random.random() < 0.3:
            await st.finish()


async def left_both(load: Command, random: Random) -> None:
    """A stream both ways that is left."""
    async with load.both() as st:
        for i in range(random.choice([1, 5])):
            await st.send(i)
        await st.recv()


async def cancelled_back(load: Command, random: Random) -> None:
    """A call of the device that it cancels."""
    await load.cancel_back(random.choice([0, 1, 3]))


ABANDONED: dict[str, Kind] = {
    "calls cancelled": cancelled,
    "calls whose time was over": deadline,
    "calls whose time was short": late,
    "streams from the device, left": left_out,
    "streams at a rate, left": left_ticks,
    "streams to the device, left": left_into,
    "streams both ways, left": left_both,
    "calls of the device, cancelled": cancelled_back,
}
KINDS: dict[str, Kind] = {
    "calls": call,
    "calls that failed": error,
    "calls without a reply": one_way,
    "calls with a trace": traced,
    "calls of the device": call_back,
    "streams from the device": stream_out,
    "streams to the device": stream_into,
    "streams both ways": stream_both,
    "streams of the latest values": kept,
    "streams that the device read": out_back,
    "streams that the device sent": into_back,
    **ABANDONED,
}


class Load:
    """Puts load on a connected device that has FILES, and on one that is linked to it."""

    def __init__(self, dev: Device, links: tuple[str, ...] = (), seed: int = 1) -> None:
        self.dev = dev
        self._nodes = [dev, *(getattr(dev, name) for name in links)]
        self._links = links
        self._random = Random(seed)
        self.count = dict[str, int]()  # how many of each kind have come to an end

    async def run(self, kinds: dict[str, Kind], number: int, at_once: int = 6) -> None:
        """Run so many, some of them at the same time. AssertionError: something is wrong."""
        numbers = iter(range(number))

        async def work() -> None:
            for _ in numbers:
                name = self._random.choice(list(kinds))
                await kinds[name](self._random.choice(self._nodes).load, self._random)
                self.count[name] = self.count.get(name, 0) + 1

        async with anyio.create_task_group() as tasks:
            for _ in range(at_once):
                tasks.start_soon(work)

    async def settled(self) -> None:
        """Wait until all that was cancelled has ended, at both ends of each link."""
        core = self.dev._cmd.core
        while any(n for left in await self.left() for n in left[:4]) or core.served:
            await anyio.lowlevel.checkpoint()

    async def left(self) -> list[list[int]]:
        """What App.cmd_left tells, of each end of a link that is no host."""
        ends = [await node.load.left() for node in self._nodes]
        return ends + [await self.dev.load.left([name]) for name in self._links]

    async def missed(self) -> int:
        """How many calls without a reply were not run."""
        run = sum([await node.load.count() for node in self._nodes])
        return self.count.get("calls without a reply", 0) - run

    async def free(self) -> list[int]:
        """The bytes that are free on each device after a collection, all of them."""
        return [
            max([(await node.sys.info())["mem_free"] for _ in range(_READINGS)])
            for node in self._nodes
        ]

    async def growth(self, kinds: dict[str, Kind], number: int) -> int:
        """The bytes that are gone on a device after so many, 0 if none are.

        What holds the most it will ever hold grows once, by chance, and not again. So as many
        more have to confirm it: a leak shows each time.
        """
        growth = 0
        for _ in range(_TRIALS):
            free = await self.free()
            await self.run(kinds, number)
            await self.settled()
            after = await self.free()
            growth = max(0, *(a - b for a, b in zip(free, after, strict=True)))
            if not growth:
                break
        return growth
