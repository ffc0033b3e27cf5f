"""The watchdog of a config, on the emulated rp2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgpack import packb

from moat.micro.device import Device
from moat.micro.errors import LostCallError
from moat.micro.net.serial import SerialLink
from moat.micro.program import run_program
from moat.micro.testing.emulator import Emulator
from tests.system.desk import expect, on, reset, started, until, write_files

MS = 600
BLOCKS = "import time\nasync def main():\n    while True:\n        pass\n"


@asynccontextmanager
async def watched(ms: object = MS) -> AsyncIterator[tuple[Emulator, Device]]:
    """A board that has started with such a config."""
    async with Emulator() as board:
        await board.until(usb=True)
        async with on(board) as dev:
            await write_files(dev, {"moat.cfg": packb({"watchdog": ms})})
            await reset(board, dev)
            yield board, dev


async def later(board: Emulator, ms: int) -> None:
    """Wait by the board's clock."""
    now = (await board.statistics())["board_ms"]
    await until(board, lambda stats: stats["board_ms"] > now + ms)


async def resets(board: Emulator) -> int:
    return (await board.statistics())["resets"]


async def test_a_loop_that_is_blocked_is_reset_and_no_other() -> None:
    async with watched() as (board, dev), board.events() as events:
        await later(board, 3 * MS)
        assert await resets(board) == 2  # power on, and ours
        before = dev._cmd.core.peer
        with pytest.raises(LostCallError):
            await run_program(dev, "while True: pass")
        await started(dev, before)
        assert await resets(board) == 3
        causes = [event["reason"] for event in drained(events) if event["event"] == "reset"]
        assert causes == ["watchdog"]


def drained(events: Any) -> list[dict[str, Any]]:
    """What has happened so far."""
    return [events.receive_nowait() for _ in range(events.statistics().current_buffer_used)]


async def test_what_always_blocks_leads_to_safe_mode_which_says_so() -> None:
    async with Emulator() as board:
        await board.until(usb=True)
        async with on(board) as dev:
            files = {"moat.cfg": packb({"watchdog": MS}), "main.py": BLOCKS}
            await write_files(dev, files)
            await board.reset()
            await until(board, lambda stats: stats["resets"] == 5)
        async with on(board) as dev:
            reason = (await dev.sys.info())["safe_mode"]
            assert reason.endswith("3 times in a row without success, at last it was reset by a "
                                   "watchdog")  # fmt: skip
            await later(board, 2 * MS)
            assert await resets(board) == 5


async def test_at_the_repl_it_is_fed_and_after_a_soft_reset_it_watches_again(
    tmp_path: Path,
) -> None:
    async with Emulator(folder=tmp_path) as board:
        await board.until(usb=True)
        async with on(board) as dev:
            await write_files(dev, {"moat.cfg": packb({"watchdog": MS})})
            await reset(board, dev)
        link = SerialLink(str(board.ptys["usb"]))
        async with link:
            await link.wr(b"\3")
            await expect(link, b">>> ")
            await later(board, 3 * MS)
            await link.wr(b"print(6 * 7)\r")
            await expect(link, b"\r\n42\r\n")
            await link.wr(b"\4")
            await expect(link, b"soft reboot\r\n")
        async with on(board) as dev:
            await later(board, 3 * MS)
            assert await resets(board) == 2
            before = dev._cmd.core.peer
            with pytest.raises(LostCallError):
                await run_program(dev, "while True: pass")
            await started(dev, before)
            assert await resets(board) == 3


@pytest.mark.parametrize("ms", [5, "1000", None, 10**6])
async def test_times_that_make_no_sense(ms: object) -> None:
    async with watched(ms) as (_, dev):
        with anyio.fail_after(20):
            while (info := await dev.sys.info())["safe_mode"] is None:
                pass
        assert "watchdog" in info["safe_mode"]
