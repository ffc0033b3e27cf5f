"""Flashing an ESP32 by esptool, which runs as a program of its own.

esptool finds out which chip it is, loads its stub, writes, compares checksums of what is in flash
with those of the image, and resets the board.
"""

from __future__ import annotations

import codecs
import importlib.util
import re
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import anyio

from moat.micro.boards import CHIPS, Board
from moat.micro.device import connect
from moat.micro.discovery import Found, check_access, choose, find
from moat.micro.errors import MoatError
from moat.micro.flash._steps import FlashError
from moat.micro.flash.run import Image, Show, image_hash

__all__ = ("EspJob", "flash_esp", "read_esp_image")

_MAGIC = 0xE9  # the first byte of an image
_CHIP_AT = 12  # the chip's number, 16 bits
_BAUDRATE = 460800
_BACK_S = 30.0
_ANSWER_S = 3.0
_NOTHING = "nothing was written"

_PERCENT = re.compile(r"Writing at \S+ .*? (\d+\.\d)%")
_FATAL = re.compile(r"A fatal error occurred: (.*)")
_WRONG_CHIP = re.compile(r"This chip is (\S+), not (\S+)\. ")
# What esptool says -> what has happened.
_CAUSES = {
    "Failed to connect": f"no answer from a boot loader, {_NOTHING}: hold BOOT while you press "
    "and release RESET (EN), and try again",
    "Could not open": f"the port cannot be opened, {_NOTHING}: does another program use it?",
    "will not fit in": f"the flash is too small for the image, {_NOTHING}",
    "MD5 of file does not match": "what is in flash is not what was written, by its checksum: the "
    "board has no good image; try again, with BAUD=115200, or another cable",
}
_CUT = "; the board has no good image: try again"
_STARTED = "Writing at "


@dataclass(frozen=True)
class EspJob:
    """What is to be done."""

    board: Board
    port: str = ""
    serial: str = ""
    is_erased: bool = False
    """Erase all of the flash first: files and config of the device, too."""
    baudrate: int = 0
    """Of the port, meanwhile; 0: the usual one."""
    stub: bool = True
    """Load esptool's stub, which is faster than the ROM."""
    back: float = _BACK_S
    """Seconds to wait for an answer of the new firmware."""


def read_esp_image(board: Board, path: Path | None = None) -> Image:
    """Read and check the image for a board.

    Args:
        board: the board.
        path: an image; by default the one that was built.

    Raises:
        FlashError: it is not there, no image, or for another chip.
    """
    if board.esp is None:
        raise FlashError(f"{board.name} is not flashed by esptool")
    path = path or board.image_path
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FlashError(f"{path} is not there; run: make BOARD={board.name} build") from None
    except OSError as exc:
        raise FlashError(f"{path}: {exc}; {_NOTHING}") from None
    if len(data) < 24 or data[0] != _MAGIC:
        raise FlashError(f"{path}: this is no image for an ESP32; {_NOTHING}")
    (number,) = struct.unpack_from("<H", data, _CHIP_AT)
    if number != CHIPS[board.esp.chip]:
        names = {number: name for name, number in CHIPS.items()}
        other = names.get(number, f"chip {number}")
        raise FlashError(f"{path}: it is for {other}, not for {board.esp.chip}; {_NOTHING}")
    return Image(path, data, len(data), image_hash(path.with_name("commands.json")))


async def flash_esp(job: EspJob, image: Image, show: Show, *, dry_run: bool = False) -> None:
    """Flash a board, and check what runs then.

    Args:
        job: what is to be done.
        image: for the board.
        show: is told what happens.
        dry_run: only say what would be done.

    Raises:
        FlashError: the board does not run the image, or that is not known.
        DiscoveryError: it is not clear which board is meant, or it may not be opened.
    """
    found = choose(job.board, find(job.board, job.port), port=job.port, serial=job.serial)
    check_access(found)
    show.say(f"{image.path}: {image.size:,} bytes for {job.board.title}, image {image.hash}")
    what = "erase all of the flash, " if job.is_erased else ""
    if dry_run:
        show.say(f"dry run: would {what}write the image to {found.port}, and check what runs")
        return
    if importlib.util.find_spec("esptool") is None:
        raise FlashError("esptool is missing; type: pip install 'moat-satellite[flash]'")
    show.say(f"{found.port}: {what}write, by esptool")
    await _Esptool(job, image, show, found).run()
    show.say(f"{found.port}: written, and verified by its checksum")
    await _check(job, image, show, found)


class _Esptool:
    """One run of esptool."""

    def __init__(self, job: EspJob, image: Image, show: Show, found: Found) -> None:
        self._job, self._image, self._show = job, image, show
        self._port = found.port
        self._text = ""

    async def run(self) -> None:
        async with await anyio.open_process(
            self._argv(), stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                async for line in _lines(process):
                    self._take(line)
                status = await process.wait()
            except BaseException:
                process.kill()
                raise
        if status or "Hash of data verified" not in self._text:
            raise FlashError(f"{self._port}: {self._why()}")

    def _argv(self) -> list[str]:
        job = self._job
        assert job.board.esp
        chip, offset = job.board.esp.chip, job.board.esp.offset
        argv = [sys.executable, "-u", "-m", "esptool", "--port", self._port, "--chip", chip]
        argv += ["--baud", str(job.baudrate or _BAUDRATE)] if job.stub else ["--no-stub"]
        argv += ["write-flash"]
        argv += ["--erase-all"] if job.is_erased and job.stub else []
        return [*argv, hex(offset), str(self._image.path)]

    def _take(self, line: str) -> None:
        self._text += line + "\n"
        if found := _PERCENT.search(line):
            self._show.progress(round(float(found[1]) * self._image.size / 100), self._image.size)

    def _why(self) -> str:
        """What has gone wrong, in one line."""
        assert self._job.board.esp
        found = _FATAL.search(self._text)
        fatal = found[1].strip() if found else (self._text.split("\n")[-2:] or [""])[0]
        if wrong := _WRONG_CHIP.match(fatal):
            return f"the chip is an {wrong[1]}, not an {wrong[2]}: {_NOTHING}"
        for start, cause in _CAUSES.items():
            if start in fatal:
                return cause
        fatal = fatal.partition(" This can have many causes")[0].rstrip(".")
        is_cut = _STARTED in self._text or "Erasing flash" in self._text
        return f"esptool: {fatal}{_CUT if is_cut else f'; {_NOTHING}'}"


async def _lines(process: anyio.abc.Process) -> AsyncGenerator[str]:
    """What it writes, line by line; a carriage return ends one, too."""
    assert process.stdout
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    async for data in process.stdout:
        *lines, rest = re.split(r"[\r\n]+", rest + decoder.decode(data))
        for line in lines:
            yield line
    if rest:
        yield rest


async def _check(job: EspJob, image: Image, show: Show, found: Found) -> None:
    if image.hash is None:
        show.say("what runs now was not asked: the hash of the image is not known")
        return
    end = anyio.current_time() + job.back
    while True:
        try:
            runs = await _ask(found.target)
            break
        except (MoatError, OSError, TimeoutError) as exc:
            if anyio.current_time() >= end:
                raise FlashError(
                    f"the image was written, but the board does not answer: {exc}"
                ) from None
    if runs != image.hash:
        raise FlashError(f"the board runs image {runs}, not {image.hash}, which was built")
    show.say(f"{found.port}: image {image.hash} runs")


async def _ask(target: str) -> str | None:
    """The hash of the image that runs."""
    with anyio.fail_after(2 * _ANSWER_S):
        async with connect(target, docs=False, console=lambda _: None, timeout=_ANSWER_S) as dev:
            return (await dev.call(["sys", "info"]))["image"]
