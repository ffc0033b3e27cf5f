"""Writing a UF2 file: to the drive of a boot loader, or by picotool."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
from anyio import to_thread

from moat.micro.boards import Board
from moat.micro.drives import Drive
from moat.micro.flash._steps import WrongBoardError

__all__ = ("copy", "load", "mount", "sees_board")

_PIECE = 1 << 15
_COPY_S = 120
_TOOL_S = 120
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


async def copy(data: bytes, drive: Drive, name: str, progress: Callable[[int], object]) -> str:
    """Copy a file to a drive; returns what went wrong, or "".

    Args:
        data: its contents.
        drive: of the boot loader.
        name: of the file.
        progress: is called with the number of bytes that the drive has.
    """
    done = 0
    try:
        with anyio.fail_after(_COPY_S):
            fd = await _in_thread(os.open, drive.folder / name, _FLAGS)
            try:
                while done < len(data):
                    done += await _in_thread(_put, fd, data[done : done + _PIECE])
                    progress(done)
            finally:
                await _in_thread(os.close, fd)
    except TimeoutError:
        return f"{drive.folder} has taken {done} bytes in {_COPY_S} s"
    except OSError as exc:
        # The board starts as soon as it has the last block, which may well be an error here.
        if done + _PIECE >= len(data) and not drive.is_there():
            return ""
        return f"{drive.folder}: {exc.strerror or exc} after {done} bytes"
    return ""


async def _in_thread(function: Callable[..., int | None], *args: object) -> int:
    return await to_thread.run_sync(function, *args, abandon_on_cancel=True) or 0


def _put(fd: int, piece: bytes) -> int:
    """Write through to the drive, or the whole file would just wait in memory."""
    n = os.write(fd, piece)
    os.fsync(fd)
    return n


async def _tool(*command: str | Path) -> tuple[int, str]:
    """Run a program; returns its exit status and what it has said. 124: it took too long."""
    try:
        with anyio.fail_after(_TOOL_S):
            done = await anyio.run_process([str(arg) for arg in command], check=False)
    except TimeoutError:
        return 124, f"{command[0]} has not ended within {_TOOL_S} s"
    except OSError as exc:
        return 127, str(exc)
    text = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    return done.returncode, text.strip()


async def mount(device: Path) -> str:
    """Mount a drive as a desktop does; returns what went wrong, or ""."""
    if not shutil.which("udisksctl"):
        return f"udisksctl is missing (Debian package udisks2); mount {device} yourself"
    status, text = await _tool("udisksctl", "mount", "--no-user-interaction", "-b", device)
    return text.splitlines()[-1] if status else ""


async def sees_board() -> bool:
    """Whether picotool is installed and sees a board in its boot loader."""
    return bool(shutil.which("picotool")) and (await _tool("picotool", "info"))[0] == 0


async def load(image: Path, board: Board) -> str:
    """Write an image by picotool and start it; returns what went wrong, or "".

    Raises:
        WrongBoardError: it sees another chip.
    """
    _, text = await _tool("picotool", "info", "-d")
    chips = set(re.findall(r"\bRP2\d{3}\b", text))
    wanted = board.mcu.split()[0]
    if chips and wanted not in chips:
        raise WrongBoardError(
            f"picotool sees an {', '.join(chips)}, and {board.name} has an {wanted}; "
            "nothing was written"
        )
    status, text = await _tool("picotool", "load", "-v", "-x", image)
    return f"picotool: {text.splitlines()[-1] if text else status}" if status else ""
