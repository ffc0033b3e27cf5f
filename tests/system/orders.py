"""Hosts and devices that start first, late, or twice, in random order: in the end calls work."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import anyio

from moat.micro.device import Device, connect, ready
from moat.micro.errors import LinkError, LostCallError
from moat.micro.net.net import NetLink
from moat.micro.net.unix import UnixLink
from moat.micro.proto.stack import Base
from moat.micro.stacks import build_stack
from moat.micro.testing.faults import FaultBuf, Faults
from tests.system import lossy
from tests.system.cable import RECONNECT

#: Where the two meet: the console port of a process and of a bare machine, and sockets.
TRANSPORTS = ("unix", "emu:qemu-arm", "socket", "tcp")
#: On a line that damages bytes, and the plain stack on one that does not.
STACKS: dict[str, dict[str, Any]] = {
    "lossy": {"framing": "serialpacker", "reliable": True},
    "plain": {"framing": "msgpack"},
}
_DAMAGE = {"lossy": Faults(flip=0.001), "plain": Faults()}


async def run(transport: str, stack: str, seed: int, folder: Path) -> None:
    """Run the order with this seed; raises something when in the end calls do not work."""
    random = Random(f"{transport} {stack} {seed}")
    starts = _plan(random)
    async with _device(transport, STACKS[stack], starts, folder) as link:
        cfg = STACKS[stack]
        if transport in ("socket", "tcp"):
            cfg = {**cfg, "reconnect": RECONNECT}
        host = _Host(link, cfg, _DAMAGE[stack], random)
        for _ in range(random.choice((0, 0, 1, 2))):
            await anyio.sleep(random.randrange(100) / 1000)
            await host.visit()
        await anyio.sleep(random.randrange(200) / 1000)
        await host.stay(len(starts))


def _plan(random: Random) -> list[tuple[int, int | None]]:
    """How late the device starts, and for how long; the last time for ever."""
    starts = [
        (random.randrange(150), random.randrange(30, 250))
        for _ in range(random.choice((0, 0, 1, 2)))
    ]
    return [*starts, (random.randrange(150), None)]


@asynccontextmanager
async def _device(
    transport: str, stack: dict[str, Any], starts: lossy.Plan, folder: Path
) -> AsyncIterator[Base]:
    """Power a device up; the way to it, which may not be open yet."""
    if transport == "socket":
        server = 'unix:UnixServer(serve, "sock")'
        link: Base | None = UnixLink(str(folder / "sock"))
    elif transport == "tcp":
        port = _free_port()
        server = f"net:NetServer(serve, port={port})"
        link = NetLink("127.0.0.1", port)
    else:
        server, link = "", None
    target = "unix" if server else transport
    async with lossy.powered(target, folder, lossy.planned(stack, starts, server)) as console:
        yield link or console


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class _Host:
    """What a host does, again and again."""

    def __init__(self, link: Base, stack: dict[str, Any], damage: Faults, random: Random) -> None:
        self._link = link
        self._stack = stack
        self._damage = damage
        self._random = random

    def _line(self) -> FaultBuf:
        seed = self._random.random()
        return FaultBuf(self._link, seed, out=self._damage, inp=self._damage)

    async def visit(self) -> None:
        """Call for some time; leave with or without a word, whatever the device does."""
        line = self._line()
        stay_s = self._random.randrange(20, 250) / 1000
        msg = build_stack(self._stack, line)
        try:
            with anyio.move_on_after(stay_s):
                async with connect(msg, console=_ignore) as dev:
                    try:
                        await lossy.take(dev, count(1000))
                    finally:
                        if self._random.random() < 0.5:
                            line.cut()
        except* (LinkError, LostCallError):
            pass  # the device has left first

    async def stay(self, starts: int) -> None:
        """Call until the device has started for the last time; from then on all calls work."""
        msg = build_stack(self._stack, self._line())
        async with connect(msg, console=_ignore, timeout=25) as dev:
            while await _times_started(dev) < starts:
                pass
            await lossy.take(dev, range(20))
            assert await lossy.times_run(dev, 20) == [1] * 20


def _ignore(_text: str) -> None:
    pass


async def _times_started(dev: Device) -> int:
    """Return how often the device has started; 0 when it has just ended again."""
    try:
        return await dev.count.starts()
    except (LinkError, LostCallError):
        await ready(dev)  # it raises what ends the link for good
        return 0
