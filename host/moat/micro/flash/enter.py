"""Ways to have a program on a board enter the boot loader.

Each takes the board and where it was found, and returns when it will; or raises a MoatError with
the reason why not.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio
import serial
from anyio import to_thread

from moat.micro.boards import Board
from moat.micro.device import connect
from moat.micro.discovery import Found
from moat.micro.errors import MoatError
from moat.micro.flash._steps import FlashError, WrongBoardError
from moat.micro.flash.repl import raw_repl
from moat.micro.target import link_to

__all__ = ("WAYS", "by_repl", "by_stack", "by_touch", "check_chip", "enter")

_ANSWER_S = 3.0
_TOUCH_BAUD = 1200
# The reply has to be on its way before the port goes.
_BOOTLOADER = "import time, machine\ntime.sleep_ms(100)\nmachine.bootloader()"


def check_chip(board: Board, machine: str, place: str) -> None:
    """Check what a board says that it is ("Raspberry Pi Pico with RP2040").

    Raises:
        WrongBoardError: it has another chip than `board`.
    """
    chip = re.search(r" with (\w+)", machine)
    wanted = board.mcu.split()[0]
    if chip and chip[1].lower() != wanted.lower():
        raise WrongBoardError(
            f"{place}: this is a {machine}, and {board.name} has an {wanted}; nothing was written"
        )


async def by_stack(board: Board, found: Found) -> None:
    """By our own command, sys.bootloader."""
    async with connect(found.target, docs=False, console=_ignore, timeout=_ANSWER_S) as dev:
        with anyio.fail_after(_ANSWER_S):
            info = await dev.call(["sys", "info"])
            check_chip(board, str(info["board"]), found.place)
            await dev.call(["sys", "bootloader"])


def _ignore(text: str) -> None:
    """Drop what the device prints."""


async def by_repl(board: Board, found: Found) -> None:
    """By the raw REPL, as mpremote does; also where our stack runs and needs a key."""
    async with raw_repl(link_to(found.target)) as repl:
        machine = await repl.run("import sys\nprint(sys.implementation._machine)")
        check_chip(board, machine.strip(), found.place)
        await repl.send(_BOOTLOADER)


async def by_touch(board: Board, found: Found) -> None:
    """By opening the port with 1200 baud, for which many USB drivers of boards look."""
    del board
    if not found.target.startswith("serial:"):
        raise FlashError(f"{found.port} knows no 1200 baud")
    try:
        await to_thread.run_sync(partial(_touch, found.port))
    except (OSError, ValueError) as exc:
        raise FlashError(f"{found.port}: {exc}") from None


def _touch(port: str) -> None:
    with serial.Serial(port, _TOUCH_BAUD) as opened:
        opened.dtr = False


WAYS: Mapping[str, Callable[[Board, Found], Awaitable[None]]] = {
    "stack": by_stack, "repl": by_repl, "touch": by_touch,
}  # fmt: skip


async def enter(way: str, board: Board, found: Found) -> str:
    """Try one way; returns why it has failed, or "".

    Raises:
        WrongBoardError: the board has another chip.
    """
    try:
        await WAYS[way](board, found)
    except WrongBoardError:
        raise
    except TimeoutError:
        return f"{found.place} has not answered"
    except (MoatError, OSError) as exc:
        return str(exc)
    return ""
