"""What a call, or a stream, takes of the heap of a device while it is open; on qemu-arm.

The free memory (sys.info, after a collection) with 14 of a kind open, less that with two of them:
the tables, the tasks, the frames of all coroutines on both sides of the command. What they
have in common, the code of streams say, is there before. An empty command counts as well as the
task that a device needs to wait for a call of its own; `task` is such a task alone.

served, issued      a call that the device serves its host; one that it makes
deadline            what it takes more if it has one
from, to            a stream from the device that has sent a value; one to it, which it reads
issued_from, _to    streams that the device has begun: from its host, and to it
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import anyio

from bench._figure import Figure, at_most
from bench._heap import free
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.device import Device
from moat.micro.testing.console import Console
from tests.system.support import started

__all__ = ("measure",)

_FEW, _MANY = 2, 14  # the device serves 16, and the one that asks is among them
_TIMES, _READINGS = 5, 5  # a task that has ended is kept for a while, see heap_lossy
_CALL, _STREAM = at_most(512), at_most(1024)
_APP = Path(__file__).parent / "device" / "held.py"


class Held(BaseCmd):
    """What the host holds for the device."""

    async def cmd_wait(self) -> None:
        """Wait to be cancelled."""
        await anyio.sleep_forever()

    async def stream_out(self, st: Any) -> None:
        """Send something, and wait to be cancelled."""
        await st.send(0)
        await anyio.sleep_forever()

    async def stream_into(self, st: Any) -> None:
        """Receive until cancelled."""
        async for _ in st:
            pass


async def measure() -> list[Figure]:
    """The bytes of each."""
    files = {"app/held.py": _APP.read_text(encoding="utf-8")}
    root = Dispatch({"held": Held()})
    with redirect_stdout(StringIO()):
        async with started("emu:qemu-arm", Path(), Console(), files, root) as dev:
            for start in _kinds(dev).values():
                await _left(dev, start, _MANY)  # what is made once is there
            size = {name: await _size(dev, start) for name, start in _kinds(dev).items()}
    size["deadline"] -= size["served"]
    bars = {"served": _CALL, "issued": _CALL, "deadline": None, "task": None}
    return [
        Figure(f"heap_calls.{name}", n, "bytes", bars.get(name, _STREAM))
        for name, n in size.items()
    ]


Start = Callable[[Any, int], Awaitable[None]]


def _kinds(dev: Device) -> dict[str, Start]:
    held = dev.held

    def calls(deadline: float | None) -> Start:
        async def call() -> None:
            with anyio.move_on_after(deadline):
                await held.wait()

        return _each(call)

    async def out() -> None:
        async with held.out() as st:
            await st.recv()
            await anyio.sleep_forever()

    async def into() -> None:
        async with held.into() as st:
            await st.send(0)
            await anyio.sleep_forever()

    return {
        "served": calls(None),
        "deadline": calls(600),
        "issued": lambda _, n: held.calls(n),
        "task": lambda _, n: held.tasks(n),
        "from": _each(out),
        "to": _each(into),
        "issued_from": lambda _, n: held.streams(n, "out"),
        "issued_to": lambda _, n: held.streams(n, "into"),
    }


def _each(fn: Callable[[], Awaitable[None]]) -> Start:
    async def start(tasks: Any, n: int) -> None:
        for _ in range(n):
            tasks.start_soon(fn)

    return start


async def _size(dev: Device, start: Start) -> float:
    """The bytes of one more."""
    few, many = [max([await _left(dev, start, n) for _ in range(_TIMES)]) for n in (_FEW, _MANY)]
    return (few - many) / (_MANY - _FEW)


async def _left(dev: Device, start: Start, n: int) -> int:
    """The memory that is free while `n` are open."""
    core, left = dev._cmd.core, 0
    async with anyio.create_task_group() as tasks:
        await start(tasks, n)
        while len(core.served) < n and await dev.held.count() < n:
            pass
        left = max([await free(dev) for _ in range(_READINGS)])
        tasks.cancel_scope.cancel()
    await dev.held.release()
    while await dev.held.count() or core.served:
        pass
    return left
