"""Erasing the file system of a board: user files and config are gone, the image stays."""

from __future__ import annotations

import ast
from collections.abc import Callable

import anyio
from anyio import to_thread

from moat.micro.boards import Board
from moat.micro.device import connect
from moat.micro.discovery import Found, check_access, choose, find
from moat.micro.errors import MoatError
from moat.micro.flash._steps import FlashError
from moat.micro.flash.repl import raw_repl
from moat.micro.target import link_to

__all__ = ("pick", "reset_files")

_ANSWER_S = 5.0
_ERASE_S = 30.0  # a megabyte takes some seconds
_BACK_S = 30.0
_AGAIN_S = 0.3

# What the port's own _boot.py does with a flash that has no file system.
_ERASE = {
    "rp2": """
import rp2, vfs
try:
    vfs.umount("/")
except OSError:
    pass
vfs.VfsLfs2.mkfs(rp2.Flash(), progsize=256)
_erased = True
"""
}
# The files, and whether this is still the run of the firmware that has erased them.
_CHECK = "(__import__('os').listdir('/'), '_erased' in globals())"


def pick(board: Board, port: str = "", serial: str = "") -> Found:
    """The board whose files are to be erased.

    Raises:
        DiscoveryError: it is not clear which is meant, or it may not be opened.
        FlashError: it cannot be done there.
    """
    if board.port not in _ERASE:
        raise FlashError(f"{board.name} has no file system that could be erased")
    one = choose(board, find(board, port), port=port, serial=serial)
    if one.drive:
        raise FlashError(f"{one.place}: the board is in its boot loader: flash it first")
    check_access(one)
    return one


async def reset_files(board: Board, one: Found, say: Callable[[str], object]) -> None:
    """Erase the file system, reset the board, and check that it is back without files.

    Args:
        board: the board.
        one: what `pick` has found.
        say: is called with lines for the user.

    Raises:
        FlashError: it has not worked, or that is not known.
    """
    by_stack = True
    try:
        await _by_stack(one, _ERASE[board.port])
    except (MoatError, OSError, TimeoutError) as exc:
        say(f"{one.port}: not by the stack ({exc or 'no answer'}), by the REPL")
        by_stack = False
        try:
            await _by_repl(one, _ERASE[board.port])
        except (MoatError, OSError) as error:
            raise FlashError(f"{one.port}: nothing was erased: {error}") from None
    say(f"{one.port}: erased; waiting for the board")
    files = await _files_after(board, one, by_stack)
    if files:
        raise FlashError(f"{one.port}: there are still files: {', '.join(files)}")
    say(f"{one.port}: the board is back, without files")


async def _by_stack(one: Found, code: str) -> None:
    async with connect(one.target, docs=False, console=_ignore, timeout=_ANSWER_S) as dev:
        with anyio.fail_after(_ERASE_S):
            await dev.call(["sys", "exec"], code)
            await dev.call(["sys", "reset"], hard=True)


async def _by_repl(one: Found, code: str) -> None:
    async with raw_repl(link_to(one.target), timeout=_ERASE_S) as repl:
        await repl.run(code)
        await repl.reset()


async def _files_after(board: Board, one: Found, by_stack: bool) -> list[str]:
    """The files that are there after the reset."""
    why = "it has not come back"
    with anyio.move_on_after(_BACK_S):
        while True:
            await anyio.sleep(_AGAIN_S)
            for back in await to_thread.run_sync(find, board, one.port, abandon_on_cancel=True):
                if not _is_same(one, back):
                    continue
                try:
                    files, is_old = await _look(back, by_stack)
                except (MoatError, OSError, TimeoutError) as exc:
                    why = str(exc) or "it does not answer"
                    continue
                if not is_old:
                    return files
    raise FlashError(f"{one.port}: erased, but after {_BACK_S:g} s the board is not back: {why}")


def _is_same(one: Found, other: Found) -> bool:
    if other.drive:
        return False
    by_serial = one.serial and not one.is_emulated
    return other.serial == one.serial if by_serial else other.port == one.port


async def _look(one: Found, by_stack: bool) -> tuple[list[str], bool]:
    if by_stack:
        async with connect(one.target, docs=False, console=_ignore, timeout=_ANSWER_S) as dev:
            with anyio.fail_after(_ANSWER_S):
                files, is_old = await dev.call(["sys", "eval"], _CHECK)
                return files, is_old
    async with raw_repl(link_to(one.target)) as repl:
        files, is_old = ast.literal_eval(await repl.run(f"print({_CHECK})"))
        await repl.reset()  # as after power-on
        return files, is_old


def _ignore(text: str) -> None:
    """Drop what the device prints."""
