"""Finding the boards that are plugged in, and the emulated ones that run.

A board on USB is known by vendor and product while its firmware runs, and by the drive of its boot
loader; board.toml has both. An emulator tells of itself in a file, see `registered`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from moat.micro import drives
from moat.micro.boards import Board
from moat.micro.drives import Drive
from moat.micro.errors import MoatError

__all__ = (
    "DiscoveryError", "Found", "NoBoardError", "SeveralBoardsError", "check_access", "choose",
    "find", "from_drives", "from_emulators", "from_ports", "only_emulators", "registered",
    "run_dir",
)  # fmt: skip


class DiscoveryError(MoatError):
    """It is not clear which board is meant."""


class NoBoardError(DiscoveryError):
    """No such board is plugged in."""


class SeveralBoardsError(DiscoveryError):
    """There are several; `found` has them."""

    def __init__(self, message: str, found: list[Found]) -> None:
        super().__init__(message)
        self.found = found


@dataclass(frozen=True)
class Found:
    """One board: it runs and has a port, or is in its boot loader and has a drive."""

    what: str
    """For people."""
    port: str = ""
    """What PORT= takes: path of a serial port, or "tcp:HOST:PORT"."""
    serial: str = ""
    """The USB serial number, which is the unique id of the board; "" where it is not known."""
    drive: Drive | None = None
    """Of its boot loader, if it is there."""
    usb_id: str = ""
    is_emulated: bool = False
    is_other: bool = False
    """A boot loader of another kind of board: it counts only where nothing else is there."""

    @property
    def target(self) -> str:
        """What `connect` takes."""
        return self.port if ":" in self.port else f"serial:{self.port}"

    @property
    def place(self) -> str:
        """Where it is, in one word."""
        return str(self.drive.folder) if self.drive else self.port


class Port(Protocol):
    """What pyserial knows about a serial port."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    product: str | None


def find(board: Board, port: str = "") -> list[Found]:
    """All boards of this kind that are here, the emulated ones as well.

    `port` is a port that counts as such a board, whatever it is; if there is one of this name.

    Boards with the same USB ids cannot be told apart: an RP2350 that runs counts as an RP2040.
    """
    from serial.tools.list_ports import comports

    ports = cast("Iterable[Port]", comports())
    found: list[Found] = []
    if not only_emulators():
        found = from_ports(board, ports) + from_drives(board, drives.mounted())
    found += from_emulators(board, registered(run_dir()))
    is_new = port and not any(_fits(one, port, "") for one in found)
    if is_new and (":" in port or Path(port).exists()) and not Path(port).is_dir():
        found.append(Found(board.title, port))
    return found


def from_ports(board: Board, ports: Iterable[Port]) -> list[Found]:
    """The serial ports of boards that run."""
    found: list[Found] = []
    for port in sorted(ports, key=lambda p: p.device):
        usb_id = f"{port.vid:04x}:{port.pid:04x}" if port.vid and port.pid is not None else ""
        if usb_id in board.usb.ids:
            what = port.product or board.title
            found.append(Found(what, port.device, port.serial_number or "", None, usb_id))
    return found


def from_drives(board: Board, there: Iterable[Drive]) -> list[Found]:
    """The boards that are in their boot loader, and those of other kinds (`is_other`).

    The serial number of the boot loader is not that of the board, so it is left out.
    """
    if not board.usb.drive:
        return []
    return [
        Found(f"{one.model}, boot loader", drive=one, is_other=one.board_id != board.usb.drive)
        for one in there
    ]


def from_emulators(board: Board, entries: Iterable[Mapping[str, Any]]) -> list[Found]:
    """The emulators of this board."""
    found: list[Found] = []
    for entry in entries:
        if entry.get("board") != board.name:
            continue
        folder = entry.get("drive")
        drive = drives.read(Path(folder)) if folder else None
        what = f"{board.title}, emulated" + (", boot loader" if drive else "")
        port = f"tcp:127.0.0.1:{entry['ports']['usb']}"
        serial = str(entry.get("unique_id", ""))
        found.append(Found(what, port, serial, drive, is_emulated=True))
    return found


def only_emulators() -> bool:
    """Whether MOAT_NO_USB says that boards on USB are to be left alone, as tests do."""
    return bool(os.environ.get("MOAT_NO_USB"))


def run_dir() -> Path:
    """Where the emulators' files are: MOAT_RUN, or a folder of the user's session."""
    env = os.environ.get("MOAT_RUN")
    if env:
        return Path(env)
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base, "moat-micro")
    return Path(tempfile.gettempdir(), f"moat-micro-{_user()}")


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def registered(folder: Path) -> list[dict[str, Any]]:
    """What the emulators that run say about themselves: their files emulators/PID.json.

    Each has "pid", "board", "unique_id", "ports" (name -> TCP port), "ptys" (name -> path) and
    "drive", a folder that is there while the board is in its boot loader. Files of others that
    cannot be read, or whose process has gone, are passed over.
    """
    entries: list[dict[str, Any]] = []
    for path in sorted((folder / "emulators").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            entry = json.loads(path.read_text(encoding="utf-8"))
            if _is_alive(int(entry["pid"])) and int(entry["ports"]["usb"]):
                entries.append(entry)
    return entries


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # where a signal 0 would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def choose(board: Board, found: list[Found], *, port: str = "", serial: str = "") -> Found:
    """The one board that is meant.

    Args:
        board: of which kind it is.
        found: what is there. Another kind of board is returned when it is the only one: "this
            is an RP2350" says more than "no board".
        port: a path or target.
        serial: a USB serial number.

    Raises:
        NoBoardError: there is none.
        SeveralBoardsError: there are several.
    """
    fitting = [one for one in found if _fits(one, port, serial)]
    fitting = [one for one in fitting if not one.is_other] or fitting
    if not fitting:
        raise NoBoardError(_nothing(board, found, port, serial))
    if len(fitting) > 1:
        there = ", ".join(f"{one.place} ({one.serial or one.what})" for one in fitting)
        message = f"{board.name}: several boards, choose with PORT= or SERIAL=: {there}"
        raise SeveralBoardsError(message, fitting)
    return fitting[0]


def _fits(one: Found, port: str, serial: str) -> bool:
    if serial and one.serial.lower() != serial.lower():
        return False
    places = {one.port, one.target, one.place}
    return not port or port in places or _same_file(port, one.port)


def _same_file(one: str, other: str) -> bool:
    """Whether these paths, such as links in /dev/serial/by-id, lead to the same port."""
    return "/" in other and os.path.realpath(one) == os.path.realpath(other)


def _nothing(board: Board, found: list[Found], port: str, serial: str) -> str:
    """What is to be done when none is there."""
    if serial:
        known = ", ".join(one.serial for one in found if one.serial) or "none"
        return f"{board.name}: no board has the serial number {serial}; there is: {known}"
    if port:
        known = ", ".join(one.place for one in found) or "none"
        return f"{board.name}: there is no port {port}; there is: {known}"
    text = f"{board.name}: no board is plugged in"
    if board.flash != "run" and board.run is not None:
        text += f"; for an emulated one: make BOARD={board.name} emulate"
    return text


def check_access(found: Found) -> None:
    """Check that we may open the port.

    Raises:
        DiscoveryError: with the udev rule that gives us the right to.
    """
    path = found.port
    if not path.startswith("/") or not Path(path).exists() or os.access(path, os.R_OK | os.W_OK):
        return
    message = f"{path}: no permission to open it"
    if found.usb_id:
        vendor, product = found.usb_id.split(":")
        rule = (
            f'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", '
            'TAG+="uaccess", MODE="0660"'
        )
        message += (
            "; put this line into /etc/udev/rules.d/60-moat-micro.rules, then type "
            f"`sudo udevadm control --reload`, and plug it in again: {rule}"
        )
    raise DiscoveryError(message)
