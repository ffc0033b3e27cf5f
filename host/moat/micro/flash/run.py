"""Flashing a board: the machine of `_machine` with everything that it needs around it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from moat.micro import drives
from moat.micro.boards import Board
from moat.micro.device import connect
from moat.micro.discovery import Found, find, only_emulators
from moat.micro.errors import MoatError
from moat.micro.flash import enter, write
from moat.micro.flash._machine import Machine
from moat.micro.flash._steps import (
    Action,
    Answered,
    Ask,
    Copied,
    Copy,
    Done,
    Enter,
    Entered,
    Event,
    FlashError,
    Job,
    Look,
    Mount,
    Mounted,
    Seen,
)
from moat.micro.flash.repl import raw_repl
from moat.micro.target import link_to
from moat.micro.uf2 import FAMILIES, FLASH, Uf2Error, unpack

__all__ = ("FlashError", "Image", "Show", "flash", "image_hash", "read_image")

_LOOK_S = 0.2
_IMAGE = """
try:
    import _port
    print(_port.image)
except ImportError:
    pass
"""
_ANSWER_S = 3.0


@dataclass(frozen=True)
class Image:
    """A UF2 file that is right for the board."""

    path: Path
    data: bytes
    size: int
    """Bytes of flash that it takes."""
    hash: str | None
    """What sys.info tells when it runs; None: that is not known."""


class Show:
    """What the user sees; this one shows nothing."""

    def say(self, text: str) -> None:
        """Show a line."""

    def progress(self, done: int, total: int) -> None:
        """Show how many bytes are written."""


def read_image(board: Board, path: Path | None = None) -> Image:
    """Read and check the image for a board.

    Args:
        board: the board.
        path: a UF2 file; by default the one that was built.

    Raises:
        FlashError: it is not there, not whole, or for another chip.
    """
    if board.flash != "uf2":
        raise FlashError(f"{board.name} is not flashed with UF2 files")
    path = path or board.image_path
    try:
        data = path.read_bytes()
        image = unpack(data)
        image.require(FAMILIES[board.family])
    except FileNotFoundError:
        raise FlashError(f"{path} is not there; run: make BOARD={board.name} build") from None
    except (OSError, Uf2Error) as exc:
        raise FlashError(f"{path}: {exc}; nothing was written") from None
    if image.address != FLASH:
        raise FlashError(f"{path}: it is for 0x{image.address:08x}, and the flash is elsewhere")
    return Image(path, data, len(image.data), image_hash(path.with_name("commands.json")))


def image_hash(path: Path) -> str | None:
    """What the commands.json beside an image says its hash is; None: that is not known."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["image"])
    except (OSError, ValueError, KeyError):
        return None


async def flash(job: Job, image: Image, show: Show, *, dry_run: bool = False) -> Found | None:
    """Flash a board and check what runs then; returns where it is.

    Args:
        job: what is to be done.
        image: for the board.
        show: is told what happens.
        dry_run: only say what would be done.

    Raises:
        FlashError: the board does not run the image, or that is not known.
        DiscoveryError: it is not clear which board is meant, or it may not be opened.
    """
    show.say(f"{image.path}: {image.size:,} bytes for {job.board.title}, image {image.hash}")
    runner = _Runner(job, image, show)
    machine = Machine(job, show.say)
    event: Event = await runner.look()
    while True:
        action = machine.step(event, anyio.current_time())
        if dry_run:
            show.say(_would(action, image))
            return None
        if isinstance(action, Done):
            show.say(f"{action.found.port}: {action.text}")
            return action.found
        event = await runner.carry_out(action)


def _would(action: Action, image: Image) -> str:
    todo = (
        f"copy the image to the drive of its boot loader, and check that image {image.hash} runs"
    )
    if isinstance(action, Enter):
        return f"dry run: would tell {action.found.port} to enter its boot loader, then {todo}"
    if isinstance(action, Copy) and action.found:
        return f"dry run: would copy the image to {action.found.place}, and check what runs"
    return f"dry run: would wait for that, then {todo}"


class _Runner:
    """Carries out the machine's actions."""

    def __init__(self, job: Job, image: Image, show: Show) -> None:
        self.job = job
        self.board = job.board
        self.image = image
        self.show = show

    async def carry_out(self, action: Action) -> Event:
        kinds: dict[type, Callable[[Any], Any]] = {
            Look: self._look, Enter: self._enter, Mount: self._mount, Copy: self._copy,
            Ask: self._ask,
        }  # fmt: skip
        event: Event = await kinds[type(action)](action)
        return event

    async def _look(self, action: Look) -> Seen:
        del action
        await anyio.sleep(_LOOK_S)
        return await self.look()

    async def look(self) -> Seen:
        found = await to_thread.run_sync(find, self.board, self.job.port, abandon_on_cancel=True)
        if any(one.drive for one in found) or not self.board.usb.drive or only_emulators():
            return Seen(tuple(found))
        unmounted = drives.unmounted(self.board.usb.drive)
        return Seen(tuple(found), unmounted, await write.sees_board())

    async def _enter(self, action: Enter) -> Entered:
        self.show.say(f"{action.found.port}: into the boot loader, by {_WAYS[action.way]}")
        return Entered(await enter.enter(action.way, self.board, action.found))

    async def _mount(self, action: Mount) -> Mounted:
        self.show.say(f"mounting {action.device}")
        return Mounted(await write.mount(action.device))

    async def _copy(self, action: Copy) -> Copied:
        drive = action.found.drive if action.found else None
        if drive is None:
            self.show.say(f"writing {self.image.path.name} by picotool")
            return Copied(await write.load(self.image.path, self.board))
        self.show.say(f"copying {self.image.path.name} to {drive.folder}")

        def progress(done: int) -> None:
            self.show.progress(done, len(self.image.data))

        return Copied(await write.copy(self.image.data, drive, self.image.path.name, progress))

    async def _ask(self, action: Ask) -> Answered:
        try:
            with anyio.fail_after(2 * _ANSWER_S):
                return Answered(await (_hash_by_repl if action.by_repl else _hash)(action.found))
        except TimeoutError:
            return Answered(error=f"{action.found.port}: no answer to sys.info")
        except (MoatError, OSError) as exc:
            return Answered(error=str(exc))


async def _hash(found: Found) -> str | None:
    async with connect(found.target, docs=False, console=_ignore, timeout=_ANSWER_S) as dev:
        return (await dev.call(["sys", "info"]))["image"]


async def _hash_by_repl(found: Found) -> str | None:
    async with raw_repl(link_to(found.target)) as repl:
        text = await repl.run(_IMAGE)
        await repl.reset()
        return text.strip() or None


_WAYS = {"stack": "sys.bootloader", "repl": "the REPL", "touch": "1200 baud"}


def _ignore(text: str) -> None:
    """Drop what the device prints."""
