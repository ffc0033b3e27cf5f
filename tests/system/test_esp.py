"""Flashing an ESP32 by esptool, into an emulated boot loader."""

from __future__ import annotations

import hashlib
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
import serial
from click.testing import CliRunner

from moat.micro import rt
from moat.micro.boards import CHIPS, load
from moat.micro.cli.main import main
from moat.micro.discovery import DiscoveryError
from moat.micro.flash import esp
from moat.micro.flash.esp import EspJob, flash_esp, read_esp_image
from moat.micro.flash.run import FlashError, Show, image_hash
from tests.system.esp_rom import EspRom

BOARDS = ("esp32", "esp32-c3", "esp32-s3")
ERASE_FLASH, FLASH_DATA, DEFLATED = 0xD0, 0x03, 0x11
Make = Callable[[str], Path]


class Shown(Show):
    """Keeps what the user sees."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[int] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: int, total: int) -> None:
        assert 0 < done <= total
        self.steps.append(done)


def esp_image(number: int, size: int = 30_000) -> bytes:
    """A valid image of one segment; the format is in esptool's "Firmware Image Format"."""
    data = random.Random(1).randbytes(size // 2) + bytes(size // 2)
    head = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080000)
    head += struct.pack("<B3xHB8xB", 0xEE, number, 0, 1)
    body = head + struct.pack("<II", 0x3FFB0000, len(data)) + data
    body += bytes(15 - len(body) % 16) + bytes([reduce(xor, data, 0xEF)])
    return body + hashlib.sha256(body).digest()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(board: str) -> Path:
        info = load(board).esp
        assert info
        path = tmp_path / f"{board}.bin"
        path.write_bytes(esp_image(CHIPS[info.chip]))
        return path

    return write


def flash(
    rom: EspRom, path: Path, board: str = "esp32", *, stub: bool = True, is_erased: bool = False
) -> Shown:
    shown = Shown()
    job = EspJob(load(board), rom.port, stub=stub, is_erased=is_erased)
    image = read_esp_image(job.board, path)
    rt.run(lambda: flash_esp(job, image, shown))
    return shown


@pytest.mark.parametrize("board", BOARDS)
def test_the_image_of_the_tests_is_valid(make: Make, board: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "image-info", make(board)],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert "Checksum: 0x" in done.stdout
    assert done.stdout.count("(valid)") == 2


@pytest.mark.parametrize("stub", [True, False])
@pytest.mark.parametrize("board", BOARDS)
def test_what_is_in_flash_is_the_image(make: Make, board: str, stub: bool) -> None:
    path = make(board)
    info = load(board).esp
    assert info
    with EspRom(board) as rom:
        shown = flash(rom, path, board, stub=stub)
    image = path.read_bytes()
    assert rom.flash[info.offset : info.offset + len(image)] == image
    assert not any(rom.flash[: info.offset])  # nothing before it, and nothing far behind it
    assert not any(rom.flash[info.offset + len(image) + 4096 :])
    assert (DEFLATED in rom.commands, FLASH_DATA in rom.commands) == (stub, not stub)
    assert rom.baudrate == (460800 if stub else 115200)
    assert shown.steps == sorted(shown.steps)
    assert shown.steps[-1] == len(image)
    assert "written, and verified by its checksum" in shown.lines[-2]
    assert "was not asked" in shown.lines[-1]


def test_all_is_erased_when_asked(make: Make) -> None:
    with EspRom() as rom:
        flash(rom, make("esp32"), is_erased=True)
        assert ERASE_FLASH in rom.commands
    assert set(rom.flash[0x200000:]) == {0xFF}


def test_a_block_that_arrives_damaged_is_sent_again(make: Make) -> None:
    path = make("esp32")
    with EspRom(bad_blocks=1) as rom:
        flash(rom, path, stub=False)
    assert rom.flash[0x1000:].startswith(path.read_bytes())


@pytest.mark.parametrize(
    ("rom", "why"),
    [
        (EspRom("esp32-s3"), r"the chip is an ESP32-S3, not an ESP32: nothing was written$"),
        (EspRom(bad_md5=True), r"what is in flash is not what .* checksum: .* no good image"),
        (EspRom(bad_blocks=99), r"esptool: .*Checksum error\); the board has no good image: try"),
        (
            EspRom(dies_after=3),
            r"esptool: No more data to read from the serial port; the board",
        ),
        (
            EspRom(is_mute=True),
            r"no answer from a boot loader, nothing was written: hold BOOT",
        ),
    ],
    ids=["wrong chip", "bad MD5", "damage", "unplugged", "mute"],
)
def test_an_error_is_one_clear_line(make: Make, rom: EspRom, why: str) -> None:
    with rom, pytest.raises(FlashError, match=rf"^/dev/pts/[0-9]+: {why}") as raised:
        flash(rom, make("esp32"), stub=False)
    assert "\n" not in str(raised.value)


def test_a_board_that_does_not_answer_then_is_an_error(make: Make) -> None:
    board = load("esp32")
    image = replace(read_esp_image(board, make("esp32")), hash="0123456789abcdef")
    with (
        EspRom() as rom,
        pytest.raises(FlashError, match="the image was written, but the board does not answer: "),
    ):
        rt.run(lambda: flash_esp(EspJob(board, rom.port, back=0), image, Shown()))


@pytest.mark.parametrize("is_it", [True, False])
def test_what_runs_then_is_asked(make: Make, is_it: bool) -> None:
    """The new firmware is played by the unix image."""
    unix = load("unix")
    known = image_hash(unix.image_path.with_name("commands.json"))
    if known is None:
        pytest.skip("run: make BOARD=unix build")
    wanted = known if is_it else "0123456789abcdef"
    board = load("esp32")
    image = replace(read_esp_image(board, make("esp32")), hash=wanted)
    shown = Shown()
    with EspRom(runs=unix.command()) as rom:
        if is_it:
            rt.run(lambda: flash_esp(EspJob(board, rom.port), image, shown))
            assert shown.lines[-1] == f"{rom.port}: image {known} runs"
        else:
            with pytest.raises(FlashError, match=f"runs image {known}, not {wanted}, which was"):
                rt.run(lambda: flash_esp(EspJob(board, rom.port), image, shown))


def test_a_dry_run_writes_nothing(make: Make) -> None:
    with EspRom() as rom:
        board = load("esp32")
        image = read_esp_image(board, make("esp32"))
        shown = Shown()
        job = EspJob(board, rom.port, is_erased=True)
        rt.run(lambda: flash_esp(job, image, shown, dry_run=True))
        assert rom.commands == []
    assert "would erase all of the flash, write the image" in shown.lines[-1]


def command(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["flash", *args])
    return done.exit_code, done.output


def test_the_command(make: Make) -> None:
    path = make("esp32")
    with EspRom() as rom:
        status, text = command(
            "esp32", "--port", rom.port, "--image", str(path), "--erase", "--baud", "230400"
        )
    assert (status, rom.baudrate) == (0, 230400), text
    assert rom.flash[0x1000:].startswith(path.read_bytes())
    with EspRom("esp32-c3") as rom:
        status, text = command("esp32", "--port", rom.port, "--image", str(path))
    assert status == 1
    assert text.endswith("the chip is an ESP32-C3, not an ESP32: nothing was written\n")
    assert not any(rom.flash)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, r"x\.bin is not there; run: make BOARD=esp32 build$"),
        (b"\xe9" + bytes(5), r"x\.bin: this is no image for an ESP32; nothing was written$"),
        (bytes(100), r"x\.bin: this is no image for an ESP32; nothing was written$"),
        (esp_image(9), r"x\.bin: it is for esp32s3, not for esp32; nothing was written$"),
        (esp_image(99), r"x\.bin: it is for chip 99, not for esp32; nothing was written$"),
    ],
)
def test_an_image_for_something_else(tmp_path: Path, data: bytes | None, why: str) -> None:
    path = tmp_path / "x.bin"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(FlashError, match=why):
        read_esp_image(load("esp32"), path)


def test_a_board_that_esptool_does_not_flash() -> None:
    with pytest.raises(FlashError, match="unix is not flashed by esptool"):
        read_esp_image(load("unix"))


def test_a_port_that_is_not_there(make: Make) -> None:
    image = read_esp_image(load("esp32"), make("esp32"))
    with pytest.raises(DiscoveryError, match="there is no port /dev/no"):
        rt.run(lambda: flash_esp(EspJob(load("esp32"), "/dev/no"), image, Show()))


def test_a_port_that_is_in_use(make: Make) -> None:
    with (
        EspRom() as rom,
        serial.Serial(rom.port, exclusive=True),
        pytest.raises(FlashError, match="the port cannot be opened, nothing was written: does "),
    ):
        flash(rom, make("esp32"))


def test_without_esptool(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esp.importlib.util, "find_spec", lambda name: None)
    path = make("esp32")
    with (
        EspRom() as rom,
        pytest.raises(FlashError, match=r"esptool is missing; type: pip install 'moat-sat"),
    ):
        flash(rom, path)
