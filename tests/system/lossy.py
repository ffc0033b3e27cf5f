"""Devices behind a bad line: what the tests and the benchmarks of the lossy stack share."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import anyio

from moat.micro.boards import load
from moat.micro.device import Device, connect
from moat.micro.net.process import ProcessLink
from moat.micro.program import run_program
from moat.micro.proto.stack import StackedBuf
from moat.micro.testing.console import Console
from moat.micro.testing.faults import FaultBuf
from tests.system.support import RESET, WRITE, is_process, link_in, write_files

# Counts how often each call was run.
COUNT = """
from binascii import crc32
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    def __init__(self):
        self.seen = {}

    async def cmd_take(self, n, data):
        self.seen[n] = self.seen.get(n, 0) + 1
        return [n, crc32(data)]

    async def cmd_starts(self):
        with open("starts") as file:
            return int(file.read())

    async def cmd_seen(self, first, end):
        return [self.seen.get(n, 0) for n in range(first, end)]
"""

MAIN = """
import moat.micro
moat.micro.start(stack={stack!r})
"""

# A start: how late, and for how long; the last one lasts. It ends without a word to the host.
_PLAN = """
import time
from moat.micro import rt

with open("starts") as file:
    starts = int(file.read())
with open("starts", "w") as file:
    file.write(str(starts + 1))
late_ms, life_ms = {plan!r}[starts]
time.sleep_ms(late_ms)

async def live():
    if life_ms is None:
        await rt.Event().wait()
    await rt.sleep_ms(life_ms)
    raise SystemExit
"""
_ON_THE_CONSOLE = """
import moat.micro
moat.micro.start(main=live, stack={stack!r})
"""
_ON_A_SOCKET = """
from app.count import App
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import Dispatch
from moat.micro.net.{module} import {cls}
from moat.micro.stacks import build_stack

root = Dispatch({{"count": App()}})

async def serve(link):
    async with CmdMsg(build_stack({stack!r}, link), root) as cmd:
        await cmd.closed()

async def main():
    async with {server}:
        await live()
"""

_PIECE = 100

Plan = Sequence[tuple[int, int | None]]


def files(stack: Mapping[str, Any]) -> dict[str, str]:
    """The files of a device that counts, and talks over this stack on its console port."""
    return {"app/count.py": COUNT, "main.py": MAIN.format(stack=dict(stack))}


def planned(stack: Mapping[str, Any], plan: Plan, server: str = "") -> dict[str, str]:
    """The files of a device that starts again and again.

    Args:
        stack: its layers.
        plan: how late it starts, and for how long.
        server: "unix:" or "net:" and the server in there, which has the handler `serve`; else
            all this is on the console port.
    """
    module, _, server = server.partition(":")
    main = _PLAN + (_ON_A_SOCKET if server else _ON_THE_CONSOLE)
    text = main.format(
        plan=list(plan),
        stack=dict(stack),
        module=module,
        server=server,
        cls=server.partition("(")[0],
    )
    return {"app/count.py": COUNT, "main.py": text, "starts": "0"}


class Held(StackedBuf):
    """A link that is open and stays so: it is used by one host after the other."""

    @asynccontextmanager
    async def _ctx(self) -> AsyncIterator[Held]:
        self.s = self.parent
        yield self


@asynccontextmanager
async def powered(target: str, folder: Path, files: Mapping[str, str]) -> AsyncIterator[Held]:
    """The link to a device that starts with these files; nobody has talked to it yet.

    A bare machine gets them from a host with the usual stack, and is reset.
    """
    if is_process(target):
        write_files(folder, files)
        # On a bare machine SystemExit is a reset, and here it is the end.
        image = shlex.quote(str(load("unix").image_path))
        restarting = ["sh", "-c", f"for i in 1 2 3; do {image}; done"]
        async with ProcessLink(restarting, cwd=str(folder)) as link:
            yield Held(link)
    else:
        async with link_in(target, folder) as link:
            await _write_to_its_disk(Held(link), files)
            yield Held(link)


async def _write_to_its_disk(link: Held, files: Mapping[str, str]) -> None:
    console = Console()
    line = FaultBuf(link)
    async with connect(line, console=console, timeout=30) as dev:
        await run_program(dev, WRITE.format(folders=["app"], files=dict(files)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_program, dev, RESET)
            await console.expect("soft reboot\n")
            line.cut()  # no farewell: what starts now would take it for something else
            tasks.cancel_scope.cancel()


def sample(n: int, size: int = 24) -> bytes:
    """The data of a call; there are 3, 0xC1 and 0xFA among them."""
    return bytes((n * 7 + i * 57) & 255 for i in range(size))


async def take(dev: Device, numbers: Iterable[int], at_once: int = 8) -> None:
    """Make the calls with these numbers, so many at the same time; all answers are right."""
    numbers = iter(numbers)

    async def work() -> None:
        for n in numbers:
            data = sample(n)
            assert await dev.count.take(n, data) == [n, crc32(data)]

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work)


async def times_run(dev: Device, count: int) -> list[int]:
    """How often the device has run each of the calls below `count`."""
    times = list[int]()
    for first in range(0, count, _PIECE):
        times += await dev.count.seen(first, min(first + _PIECE, count))
    return times
