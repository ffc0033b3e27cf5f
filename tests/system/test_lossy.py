"""The stack for lines that lose and damage bytes: SerialPacker, MessagePack, ReliableMsg, calls.

proof.py makes more calls, test_orders.py has hosts and devices that come and go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from moat.micro.device import connect
from moat.micro.program import run_program
from moat.micro.stacks import build_stack
from moat.micro.testing.console import Console
from moat.micro.testing.faults import FaultBuf, Faults
from tests.system import cable, lossy
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
    # The damage has been where the frames are.
    assert skipped > 5
    assert msg.parent.parent.errors > 5


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


@pytest.mark.parametrize("framing", ["msgpack", "serialpacker"])
async def test_no_call_fails_when_the_cable_is_cut_amid_its_bytes(
    target: str, device_folder: Path, framing: str
) -> None:
    if framing == "msgpack" and not is_process(target):
        pytest.skip("the device does not notice the cut: messages need a checksum then")
    assert await cable.calls(target, device_folder, framing, 200, cuts=20) == [1] * 200
