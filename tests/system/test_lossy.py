"""The stack for lines that lose and damage bytes: SerialPacker, MessagePack, ReliableMsg, calls.

bench/lossy_calls.py makes more calls, tests/system/test_orders.py has hosts and devices that
come and go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from moat.micro.device import Device, connect
from moat.micro.net.unix import UnixLink
from moat.micro.program import run_program
from moat.micro.proto.stack import StackedBuf
from moat.micro.stacks import build_stack
from moat.micro.testing.console import Console
from moat.micro.testing.faults import FaultBuf, Faults
from tests.system import lossy
from tests.system.support import is_process, probe

STACK: dict[str, Any] = {"framing": "serialpacker", "reliable": True}
CRC16: dict[str, Any] = {"framing": {"kind": "serialpacker", "crc": 16}, "reliable": True}
THREES = b"\3" * 200


@pytest.mark.parametrize(
    ("stack", "damage", "calls"),
    [(STACK, 0.01, 80), (CRC16, 0.001, 300)],
    ids=["crc32", "crc16"],
)
async def test_every_call_on_a_bad_line_is_run_once_and_answered(
    target: str, device_folder: Path, stack: dict[str, Any], damage: float, calls: int
) -> None:
    async with lossy.powered(target, device_folder, lossy.files(stack)) as link:
        bad = Faults(flip=damage)
        line = FaultBuf(link, seed=7, out=bad, inp=bad)
        msg = build_stack(stack, line)
        # A long message hardly ever gets through whole: none that is not needed.
        async with connect(msg, console=ignore, timeout=20, docs=False) as dev:
            await lossy.take(dev, range(calls))
            assert await lossy.times_run(dev, calls) == [1] * calls
            await dev.sys.exec("from moat.micro.serve import skipped")
            skipped = await dev.sys.eval("skipped()")
    assert line.out.counts.flipped > 5
    assert line.inp.counts.flipped > 5
    assert skipped > 5  # so the damage has been where the frames are


def ignore(_text: str) -> None:
    pass


# ---- the byte 0x03


async def test_it_is_data_inside_of_messages_on_a_bad_line(
    target: str, device_folder: Path
) -> None:
    async with lossy.powered(target, device_folder, lossy.files(STACK)) as link:
        bad = Faults(flip=0.0008, drop=0.0002)
        line = FaultBuf(link, seed=3, out=bad, inp=bad)
        async with connect(build_stack(STACK, line), console=ignore, timeout=20) as dev:
            for _ in range(40):
                assert await dev.sys.ping(THREES) == THREES
    assert line.out.counts.faults > 10


@asynccontextmanager
async def console_of(link: lossy.Held) -> AsyncIterator[Console]:
    """What comes over a link that no stack reads any more."""
    console = Console()

    async def read() -> None:
        buf = memoryview(bytearray(1000))
        while True:
            n = await link.rd(buf)
            console(bytes(buf[:n]).decode(errors="replace"))

    async with link, anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        yield console
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("keys", [b"\3", b"\r\3"], ids=["alone", "behind an end of line"])
@pytest.mark.parametrize("visited", [False, True], ids=["before", "after"])
async def test_between_messages_it_gives_the_repl(
    target: str, device_folder: Path, keys: bytes, visited: bool
) -> None:
    async with lossy.powered(target, device_folder, lossy.files(STACK)) as link:
        if visited:
            async with connect(link, stack=STACK, console=ignore, timeout=20) as dev:
                assert await dev.sys.ping(THREES) == THREES
        async with console_of(link) as console:
            if not visited:
                await console.search("\ufffd")  # a hello: the stack has started
            await link.wr(keys)
            await console.expect(">>> ")
            await link.wr(b"print(6 * 7)\r")
            await console.expect("\n42\n")


async def test_it_reaches_a_program_that_blocks(target: str, device_folder: Path) -> None:
    if is_process(target):
        pytest.skip("there, a terminal makes a signal of it")
    async with lossy.powered(target, device_folder, lossy.files(STACK)) as link:
        console = Console()
        async with (
            connect(link, stack=STACK, console=console, timeout=20) as dev,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(run_program, dev, "print('busy')\nwhile True: pass")
            await console.expect("busy")
            tasks.cancel_scope.cancel()
        async with console_of(link) as repl:
            await link.wr(b"\r\3")
            await repl.expect(">>> ")


async def test_what_is_sent_again_does_not_interrupt_what_blocks(
    target: str, device_folder: Path
) -> None:
    """Not even when it takes so long that the keyboard interrupt is switched on."""
    files = {**lossy.files(STACK), **probe()}
    async with lossy.powered(target, device_folder, files) as link:
        console = Console()
        async with connect(link, stack=STACK, console=console, timeout=20) as dev:
            results = list[object]()

            async def block() -> None:
                results.append(await dev.probe.block(3500))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(block)
                await console.expect("<blocked>")
                results.append(await dev.sys.ping(THREES))
            assert sorted(results, key=str) == [3500, THREES]


# ---- a session survives a cut


# The server's client of the moment is the link below one session: who connects next goes on.
SERVER = """
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
    """A link that a test cuts: reading and writing fail."""

    def __init__(self, parent: UnixLink) -> None:
        super().__init__(parent)
        self.plugged = 0  # how often

    @asynccontextmanager
    async def _ctx(self) -> AsyncIterator[Cable]:
        async with self.parent as self.s:
            self.plugged += 1
            yield self

    async def cut(self) -> None:
        await self.parent.aclose()


@pytest.mark.parametrize("framing", ["msgpack", "serialpacker"])
async def test_no_call_fails_when_the_socket_is_cut(tmp_path: Path, framing: str) -> None:
    stack: dict[str, Any] = {
        "framing": framing,
        "reliable": True,
        "reconnect": {"base_ms": 5, "max_ms": 50, "keep_trying": True},
    }
    files = {"app/count.py": lossy.COUNT, "main.py": SERVER.replace("STACK", repr(stack))}
    async with lossy.powered("unix", tmp_path, files):
        cable = Cable(UnixLink(str(tmp_path / "sock")))
        async with connect(build_stack(stack, cable), timeout=20) as dev:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lossy.take, dev, range(400))
                for n in range(50, 400, 50):
                    await reached(dev, n)
                    await cable.cut()
            assert await lossy.times_run(dev, 400) == [1] * 400
    assert cable.plugged == 8


async def reached(dev: Device, n: int) -> None:
    """Wait until the device has run the call with this number."""
    while not (await dev.count.seen(n, n + 1))[0]:
        pass
