"""What flashing does with files, drives, tools and ports. On asyncio and on trio."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
import serial

from moat.micro import rt, uf2
from moat.micro.boards import load
from moat.micro.discovery import Found
from moat.micro.drives import Drive
from moat.micro.flash import enter, write
from moat.micro.flash._steps import FlashError, Job, WrongBoardError
from moat.micro.flash.repl import ReplError, raw_repl
from moat.micro.flash.run import Show, flash, read_image
from moat.micro.testing.memory import buf_pair

RP2 = load("rp2")
DATA = bytes(range(256)) * 300


def image(folder: Path, data: bytes | None = None, family: int = uf2.RP2040) -> Path:
    path = folder / "firmware.uf2"
    path.write_bytes(uf2.pack(DATA, family, uf2.FLASH) if data is None else data)
    return path


# ---- the image


def test_an_image_comes_with_its_hash(tmp_path):
    path = image(tmp_path)
    read = read_image(RP2, path)
    assert (read.size, read.hash) == (len(DATA), None)
    (tmp_path / "commands.json").write_text(json.dumps({"image": "0123"}))
    assert read_image(RP2, path).hash == "0123"


@pytest.mark.parametrize("cut", [512, 1, 100 * 512])
def test_a_truncated_image_is_refused(tmp_path, cut):
    whole = image(tmp_path).read_bytes()
    with pytest.raises(FlashError, match=r"(cut short|not whole).*nothing was written"):
        read_image(RP2, image(tmp_path, whole[:-cut]))


def test_an_image_of_another_family_is_refused(tmp_path):
    with pytest.raises(FlashError, match="for the family rp2350-arm-s, not for rp2040"):
        read_image(RP2, image(tmp_path, family=uf2.RP2350))


def test_an_image_for_another_place_is_refused(tmp_path):
    with pytest.raises(FlashError, match="it is for 0x20000000"):
        read_image(RP2, image(tmp_path, uf2.pack(DATA, uf2.RP2040, 0x20000000)))


def test_an_image_that_is_not_built_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path))
    with pytest.raises(FlashError, match=r"is not there; run: make BOARD=rp2 build$"):
        read_image(RP2)


def test_a_board_that_is_not_flashed():
    with pytest.raises(FlashError, match="unix is not flashed with UF2 files"):
        read_image(load("unix"))


# ---- the drive


@pytest.fixture
def drive(tmp_path):
    (tmp_path / "INFO_UF2.TXT").write_text("Model: x\nBoard-ID: RPI-RP2\n")
    return Drive(tmp_path, "RPI-RP2", "x")


async def test_a_copy_is_whole_and_shows_its_progress(drive):
    seen = list[int]()
    assert await write.copy(DATA, drive, "f.uf2", seen.append) == ""
    assert (drive.folder / "f.uf2").read_bytes() == DATA
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)
    assert len(seen) > 2


def fail_at(monkeypatch, call, *, remove=None):
    """Let the write number `call` fail, and the drive vanish, if `remove`."""
    calls = list[int]()
    real = os.fsync

    def fsync(fd):
        calls.append(fd)
        if len(calls) == call:
            if remove:
                (remove / "INFO_UF2.TXT").unlink()
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)


async def test_a_write_that_fails_is_told(drive, monkeypatch):
    fail_at(monkeypatch, 2)
    error = await write.copy(DATA, drive, "f.uf2", print)
    assert error == f"{drive.folder}: Input/output error after 32768 bytes"


async def test_a_drive_that_is_unplugged_is_told(drive, monkeypatch):
    fail_at(monkeypatch, 2, remove=drive.folder)
    assert "Input/output error" in await write.copy(DATA, drive, "f.uf2", print)


async def test_a_drive_may_go_with_the_last_block(drive, monkeypatch):
    fail_at(monkeypatch, 3, remove=drive.folder)
    assert await write.copy(DATA, drive, "f.uf2", print) == ""


async def test_a_last_block_that_fails_is_told_while_the_drive_stays(drive, monkeypatch):
    fail_at(monkeypatch, 3)
    assert "Input/output error" in await write.copy(DATA, drive, "f.uf2", print)


async def test_a_drive_that_hangs_is_told(drive, monkeypatch):
    gate = anyio.Event()

    async def hang(*_args):
        await gate.wait()
        return 0

    monkeypatch.setattr(write, "_in_thread", hang)
    monkeypatch.setattr(write, "_COPY_S", 0)
    assert "has taken 0 bytes in 0 s" in await write.copy(DATA, drive, "f.uf2", print)


# ---- tools


def tool(folder: Path, monkeypatch, name: str, *lines: str) -> Path:
    """A program on the PATH; returns where it notes its arguments."""
    log = folder / f"{name}.log"
    path = folder / name
    path.write_text("\n".join(["#!/bin/sh", f'echo "$@" >> {log}', *lines]) + "\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return log


async def test_picotool_writes_and_verifies(tmp_path, monkeypatch):
    log = tool(tmp_path, monkeypatch, "picotool")
    assert await write.sees_board()
    assert await write.load(Path("/x/f.uf2"), RP2) == ""
    assert log.read_text().splitlines() == ["info", "info -d", "load -v -x /x/f.uf2"]


async def test_picotool_sees_nothing_or_fails(tmp_path, monkeypatch):
    tool(tmp_path, monkeypatch, "picotool", "echo it is broken", "exit 1")
    assert not await write.sees_board()
    assert await write.load(Path("f.uf2"), RP2) == "picotool: it is broken"


async def test_picotool_sees_another_chip(tmp_path, monkeypatch):
    log = tool(tmp_path, monkeypatch, "picotool", "echo ' type: RP2350'")
    with pytest.raises(WrongBoardError, match="sees an RP2350, and rp2 has an RP2040"):
        await write.load(Path("f.uf2"), RP2)
    assert "load" not in log.read_text()


async def test_no_picotool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not await write.sees_board()


async def test_a_drive_is_mounted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "udisksctl is missing" in await write.mount(Path("/dev/x"))
    log = tool(tmp_path, monkeypatch, "udisksctl")
    assert await write.mount(Path("/dev/x")) == ""
    assert log.read_text() == "mount --no-user-interaction -b /dev/x\n"
    tool(tmp_path, monkeypatch, "udisksctl", "echo Not authorized", "exit 1")
    assert await write.mount(Path("/dev/x")) == "Not authorized"


# ---- the ways into the boot loader


@pytest.mark.parametrize("machine", ["Raspberry Pi Pico with RP2040", "x with rp2040-b2", "linux"])
def test_the_right_chip(machine):
    enter.check_chip(RP2, machine, "/dev/x")


def test_the_wrong_chip():
    with pytest.raises(WrongBoardError) as err:
        enter.check_chip(RP2, "Raspberry Pi Pico2 with RP2350", "/dev/x")
    assert str(err.value) == (
        "/dev/x: this is a Raspberry Pi Pico2 with RP2350, and rp2 has an RP2040; "
        "nothing was written"
    )


async def test_the_touch_opens_the_port_with_1200_baud(monkeypatch):
    master, slave = os.openpty()
    opened = list[tuple[object, ...]]()

    class Port(serial.Serial):
        def __init__(self, *args):
            super().__init__(*args)
            opened.append(args)

        def _update_dtr_state(self):
            pass  # a pty has no such line

    monkeypatch.setattr(serial, "Serial", Port)
    path = os.ttyname(slave)
    assert await enter.enter("touch", RP2, Found("a", path)) == ""
    assert opened == [(path, 1200)]
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("port", ["tcp:127.0.0.1:1", "/dev/nonesuch"])
@pytest.mark.parametrize("way", ["stack", "repl", "touch"])
async def test_a_way_that_does_not_work_says_why(way, port):
    error = await enter.enter(way, RP2, Found("a", port))
    assert port.removeprefix("tcp:") in error
    assert "\n" not in error


class Board:
    """A raw REPL at one end of a byte stream: it notes code, and answers from a dict."""

    def __init__(self, stream, answers, *, silent=0, ends=False):
        self.stream = stream
        self.answers = answers
        self.silent = silent
        self.ends = ends
        self.code = list[str]()
        self.got = b""

    async def until(self, mark):
        buf = bytearray(64)
        while mark not in self.got:
            n = await self.stream.rd(buf)
            self.got += buf[:n]
        before, _, self.got = self.got.partition(mark)
        return before

    async def run(self):
        for _ in range(self.silent + 1):
            await self.until(b"\x03\x03\r\x01")
        await self.stream.wr(b"junk>>> \r\nraw REPL; CTRL-B to exit\r\n>")
        while True:
            try:
                code = (await self.until(b"\x04")).decode()
            except EOFError:
                return
            self.code.append(code)
            await self.stream.wr(b"OK")
            if self.ends:
                return
            out, error = self.answers.get(code, ("", ""))
            await self.stream.wr(f"{out}\x04{error}\x04>".encode())


@pytest.fixture
async def ends(anyio_backend):
    one, two = buf_pair()
    async with two:
        yield one, two


async def test_the_raw_repl_runs_code(ends):
    link, far = ends
    board = Board(far, {"print(1)": ("1\r\n", ""), "x": ("", "Traceback\r\nNameError: x\r\n")})
    async with rt.TaskGroup() as tasks:
        tasks.start_soon(board.run)
        async with raw_repl(link) as repl:
            assert await repl.run("print(1)") == "1\n"
            with pytest.raises(ReplError, match=r"^NameError: x$"):
                await repl.run("x")
            assert await repl.run("y" * 1000) == ""
    assert len(board.code[-1]) == 1000
    assert board.got == b"\x02"


async def test_the_raw_repl_is_asked_for_again(ends, monkeypatch):
    monkeypatch.setattr("moat.micro.flash.repl._TRY_S", 0.01)
    link, far = ends
    board = Board(far, {}, silent=2)
    async with rt.TaskGroup() as tasks:
        tasks.start_soon(board.run)
        async with raw_repl(link) as repl:
            await repl.run("z")


async def test_no_raw_repl(ends):
    link, _ = ends
    with pytest.raises(ReplError, match="there is no REPL"):
        async with raw_repl(link, timeout=0):
            pass


async def test_a_board_may_go_after_it_has_taken_the_code(ends):
    link, far = ends
    board = Board(far, {}, ends=True)
    async with rt.TaskGroup() as tasks:
        tasks.start_soon(board.run)
        async with raw_repl(link) as repl:
            await repl.send("machine.bootloader()")
    assert board.code == ["machine.bootloader()"]


# ---- all of it


class Lines(Show):
    def __init__(self):
        self.lines = list[str]()

    def say(self, text):
        self.lines.append(text)


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (Found("a", "/dev/ttyNONE0", "E660"), "would tell /dev/ttyNONE0 to enter"),
        (Found("a", drive=Drive(Path("/none"), "RPI-RP2", "x")), "would copy the image to /none"),
        (None, "would wait for that"),
    ],
)
async def test_a_dry_run_says_what_would_be_done(tmp_path, monkeypatch, there, text):
    monkeypatch.setattr("moat.micro.flash.run.find", lambda *_: [there] if there else [])
    monkeypatch.setattr("moat.micro.drives.unmounted", lambda *_: None)
    show = Lines()
    read = replace(read_image(RP2, image(tmp_path)), hash="0123")
    assert await flash(Job(RP2, read.hash), read, show, dry_run=True) is None
    assert text in show.lines[-1]
    assert "check" in show.lines[-1]
    assert not (tmp_path / "none").exists()
