"""`make flash` and `make factory`, on the emulated board: what runs then, and what stays."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from moat.micro import uf2
from moat.micro.boards import load
from moat.micro.device import Device, P, connect
from moat.micro.errors import LinkLost
from moat.micro.flash.repl import raw_repl
from moat.micro.testing.emulator import Emulator
from tools import build, emulator, terminal

RP2 = load("rp2")
ROOT = Path(__file__).parents[2]
LIMIT_S = 90
pytestmark = pytest.mark.slow
WRITE = """
with open("/{0}", "w") as file:
    file.write({1!r})
"""


@pytest.fixture(scope="session")
def image() -> str:
    """The hash of the image, which is built."""
    emulator.prepare()
    build.build(RP2)
    return json.loads(RP2.image_path.with_name("commands.json").read_text())["image"]


@dataclass
class Ended:
    status: int
    text: str


class Desk:
    """A desk with emulated boards on it, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        self.env |= {"MOAT_RUN": str(self.run), "MOAT_NO_USB": "1", "COLUMNS": "200"}

    async def make(self, *words: str) -> Ended:
        """Call make BOARD=rp2."""
        return await self.call("make", "BOARD=rp2", *words)

    async def call(self, *command: str) -> Ended:
        with anyio.fail_after(LIMIT_S):
            done = await anyio.run_process(
                command, cwd=ROOT, env=self.env, check=False, stdin=None, input=b""
            )
        return Ended(done.returncode, (done.stdout + done.stderr).decode())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str) -> Desk:
    monkeypatch.setenv("MOAT_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("MOAT_NO_USB", "1")
    return Desk(tmp_path)


@pytest.fixture
async def blank(desk: Desk, tmp_path: Path) -> AsyncIterator[Emulator]:
    """A board as it comes from the shop."""
    async with Emulator(image=None, drive=str(tmp_path / "one"), register="rp2") as board:
        await board.until(state="bootloader")
        yield board


@pytest.fixture
async def running(desk: Desk, tmp_path: Path) -> AsyncIterator[Emulator]:
    """A board that runs our image."""
    async with Emulator(drive=str(tmp_path / "one"), register="rp2") as board:
        await board.until(usb=True)
        yield board


async def ask(board: Emulator, path: str, *args: object) -> Any:
    """Make one call; again when there is no answer: the port may not be free yet."""
    for last in (False, False, True):
        try:
            with anyio.fail_after(6):
                async with connect(board.link(), docs=False, timeout=4) as dev:
                    return await dev.call(P(path), *args)
        except (LinkLost, TimeoutError):
            if last:
                raise
            await anyio.sleep(0.2)
    raise AssertionError


async def info(board: Emulator) -> dict[str, object]:
    return await ask(board, "sys.info")


async def hard_reset(board: Emulator) -> None:
    await board.reset()
    await board.until(usb=True)


async def write(dev: Device, name: str, text: str) -> None:
    await dev.sys.exec(WRITE.format(name, text))


async def test_from_a_blank_flash_to_the_verified_image(desk, blank, image):
    done = await desk.make("flash")
    assert done.status == 0, done.text
    assert f"image {image} runs" in done.text
    assert (await info(blank))["image"] == image


async def test_over_a_running_firmware_files_and_config_stay(desk, running, image):
    async with connect(running.link(), docs=False) as dev:
        await write(dev, "mine.txt", "mine")
        await dev.cfg.set(["lamp"], {"pin": 25})
        await dev.cfg.save()
    resets = (await running.statistics())["resets"]
    done = await desk.make("flash")
    assert done.status == 0, done.text
    assert "by sys.bootloader" in done.text
    assert f"image {image} runs" in done.text
    assert (await running.statistics())["resets"] > resets
    assert await ask(running, "sys.eval", "open('/mine.txt').read()") == "mine"
    assert await ask(running, "cfg.get", ["lamp"]) == {"pin": 25}


async def test_a_dry_run_leaves_the_board_alone(desk, running):
    resets = (await running.statistics())["resets"]
    done = await desk.make("flash", "DRY_RUN=1")
    assert done.status == 0
    assert "would tell" in done.text
    assert (await running.statistics())["resets"] == resets
    assert (await running.state())["state"] == "running"


async def test_a_board_with_another_stack_is_told_and_asked_by_the_repl(desk, running, image):
    main = 'import moat.micro\nmoat.micro.start(stack={"framing": "serialpacker"})\n'
    async with connect(running.link(), docs=False) as dev:
        await write(dev, "main.py", main)
    await hard_reset(running)
    done = await desk.make("flash")
    assert done.status == 0, done.text
    assert "by the REPL" in done.text
    assert f"image {image} runs" in done.text
    await running.until(usb=True)
    async with connect(running.link(), stack={"framing": "serialpacker"}, docs=False) as dev:
        assert (await dev.sys.info())["image"] == image


def bad_image(folder: Path, kind: str) -> Path:
    data = RP2.image_path.read_bytes()
    path = folder / "bad.uf2"
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 1024 * 512])
    else:
        path.write_bytes(uf2.pack(uf2.unpack(data).data, uf2.RP2350, uf2.FLASH))
    return path


@pytest.mark.parametrize(
    ("kind", "why"), [("truncated", "not whole"), ("rp2350", "the family rp2350-arm-s")]
)
async def test_a_bad_image_is_refused_before_anything_happens(desk, running, tmp_path, kind, why):
    resets = (await running.statistics())["resets"]
    done = await desk.make("flash", f"IMAGE={bad_image(tmp_path, kind)}")
    assert done.status != 0
    (line,) = [line for line in done.text.splitlines() if line.startswith("moat-sat:")]
    assert why in line
    assert "nothing was written" in line
    assert (await running.statistics())["resets"] == resets


async def test_a_running_board_with_another_chip_is_refused(desk, running, tmp_path):
    path = bad_image(tmp_path, "rp2350")
    port = f"tcp:127.0.0.1:{running.info['ports']['usb']}"
    done = await desk.call(
        "build/venv/bin/moat-sat", "flash", "rp2350", "--port", port, "--image", str(path)
    )
    assert done.status == 1
    assert "this is a Raspberry Pi Pico with RP2040, and rp2350 has an RP2350" in done.text
    assert (await running.state())["state"] == "running"


async def test_a_boot_loader_of_another_chip_is_refused(desk, image, tmp_path):
    path = bad_image(tmp_path, "rp2350")
    async with Emulator(image=None, drive=str(tmp_path / "one"), register="rp2350") as board:
        await board.until(state="bootloader")
        done = await desk.call("build/venv/bin/moat-sat", "flash", "rp2350", "--image", str(path))
        assert done.status == 1
        assert "is a Raspberry Pi RP2 (RPI-RP2), and rp2350 is a RP2350" in done.text
        assert [file.name for file in board.drive.iterdir()] == ["INFO_UF2.TXT"]


async def test_an_image_that_does_not_start_is_no_success(desk, blank, tmp_path):
    # Whole, of the right family; but its second stage is damaged, so the board does not start it.
    data = bytearray(uf2.unpack(RP2.image_path.read_bytes()).data)
    data[0] ^= 1
    path = tmp_path / "damaged.uf2"
    path.write_bytes(uf2.pack(bytes(data), uf2.RP2040, uf2.FLASH))
    done = await desk.make("flash", f"IMAGE={path}")
    assert done.status != 0
    assert re.search("has not taken the image|in its boot loader again", done.text)


async def test_several_boards_are_listed(desk, running, tmp_path, image):
    other = "e660000000000001"
    async with Emulator(
        image=None, unique_id=other, drive=str(tmp_path / "b"), register="rp2"
    ) as two:
        await two.until(state="bootloader")
        done = await desk.make("flash")
        assert done.status != 0
        assert "PORT=" in done.text
        for text in (other, str(running.info["unique_id"]), str(two.drive)):
            assert text in done.text
        done = await desk.make("flash", f"SERIAL={other}")
        assert done.status == 0, done.text
        told = await info(two)
        assert (told["unique_id"], told["image"]) == (bytes.fromhex(other), image)


async def test_no_board_names_the_emulator(desk):
    done = await desk.call("build/venv/bin/moat-sat", "flash", "rp2", "--wait", "0")
    assert done.status == 1
    assert "no board is plugged in; for an emulated one: make BOARD=rp2 emulate" in done.text
    assert "hold BOOTSEL" in done.text
    done = await desk.call("build/venv/bin/moat-sat", "-d", "board:rp2", "info")
    assert done.status == 1
    assert "for an emulated one: make BOARD=rp2 emulate" in done.text


async def test_connect_finds_the_emulated_board(desk, running, image):
    async with connect("board:rp2", docs=False) as dev:
        assert (await dev.sys.info())["image"] == image


async def test_shell_is_the_repl_of_the_board(desk, running, monkeypatch):
    monkeypatch.chdir(ROOT)

    def shell() -> int:
        console = terminal.Console(RP2, ["make", "BOARD=rp2", "shell"])
        try:
            console.prompt()
            assert console.command("20 + 3") == "23"
            console.write(b"\x1d")
            return console.process.wait(timeout=LIMIT_S)
        finally:
            console.close()

    assert await anyio.to_thread.run_sync(shell) == 0


async def test_factory_asks_first(desk, running):
    async with connect(running.link(), docs=False) as dev:
        await write(dev, "mine.txt", "mine")
    done = await desk.make("factory")
    assert done.status != 0
    assert "YES=1" in done.text
    async with connect(running.link(), docs=False) as dev:
        assert await dev.sys.eval("open('/mine.txt').read()") == "mine"


async def test_factory_erases_files_and_config(desk, running):
    async with connect(running.link(), docs=False) as dev:
        await write(dev, "mine.txt", "mine")
        await dev.cfg.set(["lamp"], {"pin": 25})
        await dev.cfg.save()
    done = await desk.make("factory", "YES=1")
    assert done.status == 0, done.text
    assert "the board is back, without files" in done.text
    assert await ask(running, "sys.eval", "__import__('os').listdir('/')") == []
    assert await ask(running, "cfg.get") == {}


async def test_factory_by_the_repl_helps_where_the_stack_does_not(desk, running):
    async with connect(running.link(), docs=False) as dev:
        await write(dev, "main.py", "while True:\n    pass\n")
    await hard_reset(running)
    with pytest.raises(LinkLost):
        async with connect(running.link(), timeout=1):
            pass
    done = await desk.make("factory", "YES=1")
    assert done.status == 0, done.text
    assert "by the REPL" in done.text
    await running.until(usb=True)
    assert await ask(running, "sys.eval", "__import__('os').listdir('/')") == []


async def test_the_repl_of_the_board_runs_code(running):
    async with raw_repl(running.link()) as repl:
        assert await repl.run("print(6 * 7)") == "42\n"
