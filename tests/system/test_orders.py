"""Hosts and devices that start first, late, or twice, in random order: in the end calls work."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from moat.micro.device import Device, connect
from moat.micro.errors import LinkError, LinkLost
from moat.micro.net.unix import UnixLink
from moat.micro.proto.stack import Base
from moat.micro.stacks import build_stack
from moat.micro.testing.faults import FaultBuf, Faults
from tests.system import lossy

pytestmark = pytest.mark.slow

STACK: dict[str, Any] = {"framing": "serialpacker", "reliable": True}
ON_A_SOCKET: dict[str, Any] = {
    **STACK,
    "reconnect": {"base_ms": 5, "max_ms": 50, "keep_trying": True},
}
DAMAGE = Faults(flip=0.001)
ORDERS = range(20)


def plan(random: Random) -> list[tuple[int, int | None]]:
    """How late the device starts, and for how long; the last time for ever."""
    starts = [
        (random.randrange(200), random.randrange(50, 400))
        for _ in range(random.choice((0, 0, 1, 2)))
    ]
    return [*starts, (random.randrange(200), None)]


class Host:
    """What a host does, again and again."""

    def __init__(self, link: Base, stack: dict[str, Any], random: Random) -> None:
        self._link = link
        self._stack = stack
        self._random = random

    def _line(self) -> FaultBuf:
        return FaultBuf(self._link, self._random.random(), out=DAMAGE, inp=DAMAGE)

    async def visit(self) -> None:
        """Call for some time; leave with or without a word, whatever the device does."""
        line = self._line()
        stay_s = self._random.randrange(20, 400) / 1000
        msg = build_stack(self._stack, line)
        try:
            with anyio.move_on_after(stay_s):
                async with connect(msg, console=ignore) as dev:
                    try:
                        await lossy.take(dev, count(1000))
                    finally:
                        if self._random.random() < 0.5:
                            line.cut()
        except* LinkError:
            pass  # the device has left first

    async def stay(self, starts: int) -> None:
        """Call until the device has started for the last time; from then on all calls work."""
        msg = build_stack(self._stack, self._line())
        async with connect(msg, console=ignore, timeout=25) as dev:
            while await times_started(dev) < starts:
                pass
            await lossy.take(dev, range(20))
            assert await lossy.times_run(dev, 20) == [1] * 20


def ignore(_text: str) -> None:
    pass


async def times_started(dev: Device) -> int:
    """Return how often the device has started; 0 when it has just ended again."""
    try:
        return await dev.count.starts()
    except LinkLost:
        raise
    except LinkError:
        await dev._cmd.ready()
        return 0


async def run(random: Random, host: Host, starts: int) -> None:
    """A host comes up to three times, at random times."""
    for _ in range(random.choice((0, 0, 1, 2))):
        await anyio.sleep(random.randrange(150) / 1000)
        await host.visit()
    await anyio.sleep(random.randrange(300) / 1000)
    await host.stay(starts)


@pytest.mark.parametrize("seed", ORDERS)
@pytest.mark.parametrize("board", ["unix", "emu:qemu-arm"])
async def test_any_order_on_the_console_port(board: str, seed: int, device_folder: Path) -> None:
    random = Random(f"{board} {seed}")
    starts = plan(random)
    async with lossy.powered(board, device_folder, lossy.planned(STACK, starts)) as link:
        await run(random, Host(link, STACK, random), len(starts))


@pytest.mark.parametrize("seed", ORDERS)
async def test_any_order_on_a_socket(seed: int, tmp_path: Path) -> None:
    random = Random(f"socket {seed}")
    starts = plan(random)
    async with lossy.powered("unix", tmp_path, lossy.planned(STACK, starts, socket=True)):
        link = UnixLink(str(tmp_path / "sock"))
        await run(random, Host(link, ON_A_SOCKET, random), len(starts))
