"""What the machine of `_machine` asks for, and what it is told.

A FlashError ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moat.micro.boards import Board
from moat.micro.discovery import Found
from moat.micro.errors import MoatError

__all__ = (
    "Action", "Answered", "Ask", "Copied", "Copy", "Done", "Enter", "Entered", "Event",
    "FlashError", "Job", "Limits", "Look", "Mount", "Mounted", "Seen", "WrongBoardError",
)  # fmt: skip


class FlashError(MoatError):
    """The board does not have the new image, or it is not known that it has; one line."""


class WrongBoardError(FlashError):
    """This board is not of the kind that the image is for; nothing was written."""


# What the machine asks for -----------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """Wait a moment, then find out what is there; the event is Seen."""


@dataclass(frozen=True)
class Enter:
    """Tell the program that runs to enter the boot loader; the event is Entered."""

    way: str
    found: Found


@dataclass(frozen=True)
class Mount:
    """Mount this device, a boot loader's drive; the event is Mounted."""

    device: Path


@dataclass(frozen=True)
class Copy:
    """Copy the image to the drive of `found`, or by picotool if None; the event is Copied."""

    found: Found | None


@dataclass(frozen=True)
class Ask:
    """Ask the board for the hash of its image, by sys.info or `by_repl`; the event is Answered."""

    found: Found
    by_repl: bool = False


@dataclass(frozen=True)
class Done:
    """It has worked."""

    text: str
    found: Found


Action = Look | Enter | Mount | Copy | Ask | Done

# What came of it ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What is there: boards, a drive that is not mounted, a boot loader that picotool sees."""

    found: tuple[Found, ...] = ()
    unmounted: Path | None = None
    by_picotool: bool = False


@dataclass(frozen=True)
class Entered:
    """Whether the board will enter its boot loader; `error` says why not."""

    error: str = ""


@dataclass(frozen=True)
class Mounted:
    """Whether the drive has a folder now; `error` says why not."""

    error: str = ""


@dataclass(frozen=True)
class Copied:
    """Whether all of the image was written."""

    error: str = ""


@dataclass(frozen=True)
class Answered:
    """The hash of the image that runs, None if it has none; or why there is no answer."""

    image: str | None = None
    error: str = ""


Event = Seen | Entered | Mounted | Copied | Answered

# -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """How long is waited, in seconds."""

    hold: float = 120
    """For the user, who holds BOOTSEL and plugs the board in."""
    drive: float = 15
    """For the drive, after the program was told; a desktop takes some seconds to mount it."""
    mount: float = 3
    """For a desktop to mount the drive, until we do that ourselves, or use picotool."""
    gone: float = 15
    """For the drive to go, after the image was written."""
    again: float = 2
    """A drive that has come back tells that the image does not start, when it is there so long."""
    back: float = 30
    """For the new firmware to be there, and to answer."""
    answer: float = 6
    """For sys.info to answer. Then the REPL is asked: the stack may need a key, or be another."""


@dataclass(frozen=True)
class Job:
    """What is to be done."""

    board: Board
    image: str | None
    """The hash that sys.info has to tell; None: it is not known, and any answer will do."""
    port: str = ""
    serial: str = ""
    ways: tuple[str, ...] = ("stack", "repl", "touch")
    limits: Limits = Limits()
