"""Sessions over a cable that is unplugged: what the tests and the proof of them share."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from moat.micro.device import connect
from moat.micro.errors import LinkLost
from moat.micro.net.unix import UnixLink
from moat.micro.proto.stack import Base, StackedBuf
from moat.micro.stacks import build_stack
from tests.system import lossy
from tests.system.support import is_process

RECONNECT: dict[str, Any] = {"base_ms": 5, "max_ms": 50, "keep_trying": True}

# The server's client of the moment is the link below one session: who connects next goes on.
_SERVER = """
from app.count import App
from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import Dispatch
from moat.micro.net.unix import UnixServer
from moat.micro.proto.stack import StackedBuf
from moat.micro.stacks import build_stack

class Client(StackedBuf):
    def __init__(self):
        self.clients = rt.Queue(1)

    async def serve(self, link):
        left = rt.Event()
        await self.clients.put((link, left))
        await left.wait()

    @rt.asynccontextmanager
    async def _ctx(self):
        link, left = await self.clients.get()
        try:
            async with link as self.s:
                yield self
        finally:
            left.set()

async def main():
    client = Client()
    stack = build_stack(STACK, client)
    async with UnixServer(client.serve, "sock"):
        async with CmdMsg(stack, Dispatch({"count": App()})) as cmd:
            await cmd.closed()
"""


class Cable(StackedBuf):
    """A link that breaks, so many times, after a random number of bytes.

    What is written then arrives up to that byte; of what is read the rest is lost.
    """

    def __init__(self, parent: Base, seed: int, cuts: int, most: int = 2000) -> None:
        super().__init__(parent)
        self.plugged = 0  # how often
        self._random = Random(seed)
        self._cuts = cuts
        self._most = most
        self._left: float = 0

    @asynccontextmanager
    async def _ctx(self) -> AsyncIterator[Cable]:
        async with self.parent as self.s:
            self.plugged += 1
            done = self.plugged > self._cuts
            self._left = math.inf if done else self._random.randrange(self._most)
            yield self

    def _spend(self, n: int) -> int:
        n = int(min(n, self._left))
        self._left -= n
        return n

    async def rd(self, buf: Any) -> int:
        n = self._spend(await self.s.rd(buf))
        if n == 0:
            raise LinkLost("the cable is unplugged")
        return n

    async def wr(self, buf: Any) -> None:
        n = self._spend(len(buf))
        await self.s.wr(buf[:n])
        if n < len(buf):
            raise LinkLost("the cable is unplugged")


async def calls(
    target: str,
    folder: Path,
    framing: str,
    count: int,
    cuts: int,
    numbers: Iterable[int] | None = None,
) -> list[int]:
    """Make calls over one session while the cable is cut; returns how often each was run.

    On a process, over a named socket: the device notices that the cable was unplugged, too. On a
    bare machine, over its console port, it does not.
    """
    stack: dict[str, Any] = {"framing": framing, "reliable": True}
    on_host = {**stack, "reconnect": RECONNECT}
    files = lossy.files(stack)
    if is_process(target):
        files["main.py"] = _SERVER.replace("STACK", repr(on_host))
    async with lossy.powered(target, folder, files) as link:
        parent: Base = UnixLink(str(folder / "sock")) if is_process(target) else link
        cable = Cable(parent, len(framing), cuts)
        async with connect(build_stack(on_host, cable), console=_ignore, timeout=20) as dev:
            await lossy.take(dev, numbers or range(count))
            times = await lossy.times_run(dev, count)
            assert cable.plugged == cuts + 1  # that many calls were enough for all cuts
    return times


def _ignore(_text: str) -> None:
    pass
