"""The boards: what their board.toml says. Nothing else reads these files."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from moat.micro._table import BoardError, Table
from moat.micro.uf2 import FAMILIES

__all__ = (
    "CHIPS", "Board", "BoardError", "Esp", "Facts", "Need", "Usb", "all_boards", "build_dir",
    "load", "root",
)  # fmt: skip

_HERE = Path(__file__).resolve()
_INSTALLED = _HERE.parent / "_boards"
_FLASH = ("esptool", "mpremote", "run", "uf2")
# Espressif's chips, as esptool calls them -> their number in the head of an image.
CHIPS = {"esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c6": 13}
_ID = re.compile("[0-9a-fA-F]{4}:[0-9a-fA-F]{4}")


@dataclass(frozen=True)
class Need:
    """A program that building or running a board needs.

    With `file`, `tool` is a C compiler that must have this file in its library folders.
    `package` names the Debian packages (separated by spaces) that bring it.
    """

    tool: str
    package: str
    file: str = ""


@dataclass(frozen=True)
class Run:
    """How to start an image on this machine.

    `command` is the argument list; `serial` has, for each kind of console (stdio, pty,
    socket), the arguments to append. `{image}`, `{socket}`, `{flash}` and `{root}`, the checkout,
    stand for paths. `shell` is appended to get MicroPython's normal REPL at once; where it is
    empty, Ctrl-C gives it. `flash` is appended to keep the flash in a file. `made` are files that
    the target `make` of the Makefile makes, and that have to be there.
    """

    command: tuple[str, ...]
    serial: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    shell: tuple[str, ...] = ()
    flash: tuple[str, ...] = ()
    make: str = ""
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usb:
    """By what a board is known that is plugged in."""

    ids: tuple[str, ...] = ()
    """Vendor and product of the running firmware, "2e8a:0005"."""
    drive: str = ""
    """Board-ID in the INFO_UF2.TXT of its boot loader's drive; also the drive's label."""


@dataclass(frozen=True)
class Esp:
    """Of a board that esptool flashes: its chip, one of CHIPS, and where the image begins."""

    chip: str
    offset: int


@dataclass(frozen=True)
class Facts:
    """What programs on the board, and hosts, may want to know; see tools/image.py."""

    led: int | str | None = None
    """What machine.Pin takes for the LED; None: there is none."""
    button: int | str | None = None
    """The same of a button."""
    baud: int | None = None
    """Bits per second of the default link; None where that means nothing, as with USB."""
    lossy: bool = False
    """Whether the default link may lose bytes: it needs a stack that repairs that."""


@dataclass(frozen=True)
class Board:
    """The facts about one board."""

    name: str
    title: str
    mcu: str
    port: str
    """MicroPython's port."""
    image: str
    """File name of the image within the board's build folder."""
    flash: str
    """How the image gets onto the board; "run": it is started on this machine. "uf2": it is
    copied to the drive that the board's boot loader shows. "esptool": its serial boot loader
    takes it. "mpremote": it is a package that is copied to a running MicroPython."""
    link: str
    """What a host talks to it through."""
    needs: tuple[Need, ...]
    build: dict[str, str]
    """Variables for the port's Makefile, or for CMake."""
    run: Run | None
    """None: this machine cannot run it."""
    folder: Path
    """Where the board's files are."""
    docs: bool = False
    """Whether the image carries the documentation of its commands; see tools/image.py."""
    libs: tuple[str, ...] = ()
    """What else of MicroPython's source it needs: folders in lib/; see tools/libs.py."""
    family: str = ""
    """Of a UF2 file: the chips that take it, one of uf2.FAMILIES."""
    esp: Esp | None = None
    usb: Usb = Usb()
    facts: Facts = Facts()
    like: str = ""
    """The board whose manifest.py it takes; "": it has one of its own."""

    @property
    def manifest(self) -> Path:
        """What is frozen into its image.

        Raises:
            BoardError: there is no board `like` that.
        """
        folder = _folders().get(self.like) if self.like else self.folder
        if folder is None:
            raise BoardError(f"{self.name}: it cannot be like {self.like!r}, which is no board")
        return folder / "manifest.py"

    @property
    def image_path(self) -> Path:
        """Where `make build` puts the image; it need not exist."""
        return build_dir() / self.name / self.image

    @property
    def elf_path(self) -> Path:
        """The image with its symbols, where that is another file."""
        if self.esp:
            return self.image_path.with_name("micropython.elf")
        return self.image_path.with_suffix(".elf") if self.family else self.image_path

    def command(
        self, serial: str = "stdio", *, socket: str | Path = "", flash: str | Path = ""
    ) -> list[str]:
        """The command that starts the image with its console on stdio, a pty or a socket.

        Args:
            serial: what its console is.
            socket: path of the socket.
            flash: the file that its flash is kept in. Without one it ends with the process.

        Raises:
            BoardError: this board has no such console or flash, or cannot be run here.
        """
        run = self._run()
        try:
            args = run.command + run.serial[serial]
        except KeyError:
            known = ", ".join(run.serial)
            raise BoardError(f"{self.name}: no {serial!r} console; it has: {known}") from None
        if flash and not run.flash:
            raise BoardError(
                f"{self.name}: its emulator has no flash that could be kept in a file"
            )
        args += run.flash if flash else ()
        values = self._values() | {"{socket}": str(socket), "{flash}": str(flash)}
        return [_fill(arg, values) for arg in args]

    def to_make(self, image: bool = True) -> str:
        """The targets of make that are missing for `command`; empty when all is there.

        Args:
            image: whether the image counts.

        Raises:
            BoardError: it cannot be run here.
        """
        run, values = self._run(), self._values()
        targets = list[str]()
        if image and not self.image_path.exists():
            targets += [f"BOARD={self.name}", "build"]
        if not all(Path(_fill(path, values)).exists() for path in run.made):
            targets.append(run.make)
        return " ".join(targets)

    def _run(self) -> Run:
        if self.run is None:
            raise BoardError(f"{self.name}: this machine cannot run its image")
        if self.run.made and root() is None:
            raise BoardError(f"{self.name}: its emulator is only there in a checkout")
        return self.run

    def _values(self) -> dict[str, str]:
        return {"{image}": str(self.image_path), "{root}": str(root())}


def root() -> Path | None:
    """The folder of the checkout this module runs from; None when it was installed."""
    top = _HERE.parents[3]
    return top if (top / "boards").is_dir() and not _INSTALLED.is_dir() else None


def build_dir() -> Path:
    """Where images are: MOAT_BUILD, else build/ in the checkout or the current folder."""
    env = os.environ.get("MOAT_BUILD")
    return Path(env).absolute() if env else (root() or Path.cwd()) / "build"


def all_boards() -> list[Board]:
    """Every board, by name.

    Raises:
        BoardError: a board.toml is malformed.
    """
    return [load(name) for name in sorted(_folders())]


def load(name: str) -> Board:
    """The board of this name.

    Raises:
        BoardError: there is none (the message lists the names), or its file is malformed.
    """
    folders = _folders()
    if name not in folders:
        names = ", ".join(sorted(folders)) or "none"
        raise BoardError(f"unknown board {name!r}; there are: {names}")
    return parse(folders[name] / "board.toml")


def parse(path: Path) -> Board:
    """Read one board.toml; the board is named after its folder.

    Raises:
        BoardError: names the file and the key that is wrong.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise BoardError(f"{path}: {err}") from None
    table = Table(path, "", data)
    build = table.table("build")
    make = build.table("make")
    flash = table.text("flash", _FLASH)
    run = table.table("run") if flash == "run" or "run" in data else None
    uf2 = table.table("uf2") if flash == "uf2" else None
    esp = table.table("esp") if flash == "esptool" else None
    usb, facts = table.table("usb", {}), table.table("facts", {})
    board = Board(
        name=path.parent.name,
        title=table.text("title"),
        mcu=table.text("mcu"),
        port=table.text("port"),
        image=table.text("image"),
        flash=flash,
        link=table.text("link"),
        needs=tuple(_need(item) for item in table.tables("needs")),
        build={key: make.text(key) for key in list(make.data)},
        run=_run(run) if run else None,
        folder=path.parent,
        docs=table.flag("docs"),
        libs=build.texts("libs", default=[]),
        like=build.text("like", default=""),
        family=uf2.text("family", tuple(FAMILIES)) if uf2 else "",
        esp=_esp(esp) if esp else None,
        usb=Usb(_ids(usb), usb.text("drive", default="")),
        facts=Facts(
            facts.pin("led"), facts.pin("button"), facts.number("baud"), facts.flag("lossy")
        ),
    )
    for part in (table, build, make, run, uf2, esp, usb, facts):
        if part:
            part.end()
    return board


def _folders() -> dict[str, Path]:
    """The folder of each board; those of MOAT_BOARDS, a list of folders, go before ours."""
    top = root()
    places = [top / "boards" if top else _INSTALLED]
    env = os.environ.get("MOAT_BOARDS", "")
    places += [Path(place).absolute() for place in reversed(env.split(os.pathsep)) if place]
    return {path.parent.name: path.parent for p in places for path in p.glob("*/board.toml")}


def _fill(arg: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        arg = arg.replace(key, value)
    return arg


def _need(table: Table) -> Need:
    need = Need(table.text("tool"), table.text("package"), table.text("file", default=""))
    table.end()
    return need


def _esp(table: Table) -> Esp:
    chip, offset = table.text("chip", tuple(CHIPS)), table.text("offset")
    try:
        return Esp(chip, int(offset, 0))
    except ValueError:
        raise table.fail("offset", 'must be a number such as "0x1000"') from None


def _ids(table: Table) -> tuple[str, ...]:
    ids = table.texts("ids", default=[])
    if not all(_ID.fullmatch(item) for item in ids):
        raise table.fail("ids", 'must be a list of vendor:product, such as "2e8a:0005"')
    return tuple(item.lower() for item in ids)


def _run(table: Table) -> Run:
    serial = table.table("serial")
    return Run(
        table.texts("command"),
        {key: serial.texts(key) for key in list(serial.data)},
        table.texts("shell", default=[]),
        table.texts("flash", default=[]),
        table.text("make", default=""),
        table.texts("made", default=[]),
    )
