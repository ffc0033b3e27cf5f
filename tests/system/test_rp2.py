"""The emulated rp2 as a board on a desk: resets, power, USB that goes away, flash, mpremote."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from moat.micro.boards import load
from moat.micro.cmd.stream import CallStream
from moat.micro.device import Device, connect
from moat.micro.errors import CallUnknownError, LostCallError
from moat.micro.net.process import ProcessLink
from moat.micro.net.serial import SerialLink
from moat.micro.program import run_program
from moat.micro.testing.emulator import Emulator
from tests.system.desk import expect, on, reset, started, until, write, write_files
from tests.system.support import probe

# Counts what it has given to the link; a pin shows that the loop goes on.
SOURCE = """
from machine import Pin
from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    async def cmd_blink(self):
        led = Pin(25, Pin.OUT)
        while True:
            led.toggle()
            await rt.sleep_ms(50)

    async def stream_blocks(self, st, n):
        for i in range(n):
            await st.send(bytes((i & 255,)) * 500)
"""

MAX_INSTRUCTIONS = 80_000_000


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Emulator]:
    """A board whose USB is up."""
    async with Emulator(flash=tmp_path / "flash", folder=tmp_path / "board") as board:
        await board.until(usb=True)
        yield board


@asynccontextmanager
async def with_files(board: Emulator, files: dict[str, str]) -> AsyncIterator[Device]:
    """A device that has started with these files."""
    async with on(board) as dev:
        await write_files(dev, files)
        await reset(board, dev)
        yield dev


# ---- files and power


async def read(dev: Device, name: str) -> bytes:
    return await dev.sys.eval(f"open({name!r}, 'rb').read()")


async def test_files_survive_resets_power_and_a_new_image(board: Emulator, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4
    async with on(board) as dev:
        await write(dev, "/kept", data)
        for again in (board.reset, lambda: dev.sys.reset(hard=True)):
            before = dev._cmd.core.peer
            await again()
            await started(dev, before)
            assert await read(dev, "/kept") == data
        before = dev._cmd.core.peer
        await board.power(False)
        await board.until(state="off", usb=False)
        await board.power(True)
        await started(dev, before)
        assert await read(dev, "/kept") == data
        before = dev._cmd.core.peer
        await dev.sys.bootloader()
        await board.until(state="bootloader")
        await board.flash(board.board.image_path)
        await started(dev, before)
        assert await read(dev, "/kept") == data
    board.process.kill()
    async with Emulator(image=None, flash=tmp_path / "flash") as board:
        await board.until(usb=True)
        async with on(board) as dev:
            assert await read(dev, "/kept") == data


@pytest.mark.parametrize(
    ("how", "cause"), [("power", "PWRON_RESET"), ("watchdog", "WDT_RESET"), ("soft", None)]
)
async def test_the_device_knows_why_it_has_started(
    board: Emulator, how: str, cause: str | None
) -> None:
    async with on(board) as dev:
        before = dev._cmd.core.peer
        if how == "watchdog":
            await run_program(dev, "import machine\nmachine.WDT(timeout=100)")
        elif how == "soft":
            await dev.sys.reset()
        else:
            await reset(board, dev)
        await started(dev, before)
        if cause is not None:
            await dev.sys.exec("import machine")
            expected = await dev.sys.eval(f"machine.{cause}")
            assert (await dev.sys.info())["reset_cause"] == expected
        assert (await board.statistics())["resets"] == (1 if how == "soft" else 2)


async def test_on_standard_input_and_output_the_link_stays_and_files_in_a_flash_file(
    tmp_path: Path,
) -> None:
    target = f"emu:rp2?flash={tmp_path / 'flash'}"
    async with connect(target, timeout=25) as dev:
        await write(dev, "/kept", b"kept")
        before = dev._cmd.core.peer
        await dev.sys.reset(hard=True)
        await started(dev, before)
        assert await dev.sys.ping(bytes(range(256))) == bytes(range(256))
    async with connect(target, timeout=25) as dev:
        assert await read(dev, "/kept") == b"kept"


async def test_what_is_not_read_from_standard_output_holds_the_board_back(tmp_path: Path) -> None:
    info = tmp_path / "info"
    link = ProcessLink([*load("rp2").command(), "--info", str(info)], exit_s=0)
    async with link:
        await expect(link, b"\xc1")  # a hello
        await link.wr(b"\3")
        await expect(link, b">>> ")
        await link.wr(b"while True: print('x' * 70)\r\r")
        port = json.loads(info.read_text())["ports"]["control"]
        async with await anyio.connect_tcp("127.0.0.1", port) as control:
            counts = list[int]()
            while len(counts) < 3 or counts[-1] != counts[-3]:
                await control.send(b'{"do": "statistics"}\n')
                line = await BufferedByteReceiveStream(control).receive_until(b"\n", 1 << 16)
                counts += [json.loads(line)["result"]["usb"]["from_board"]]
                await anyio.sleep(0.3)
        # A pipe, and what each side reads ahead.
        assert 65536 < counts[-1] < 300_000


async def test_pins_and_adc(board: Emulator) -> None:
    async with on(board) as dev:
        await dev.sys.exec("from machine import ADC, Pin\npin = Pin(5, Pin.IN)\nadc = ADC(26)")
        for level in (1, 0, 1):
            await board.gpio_set(5, level)
            assert await dev.sys.eval("pin()") == level
        await dev.sys.exec("out = Pin(6, Pin.OUT, value=1)")
        assert (await board.gpio_get(6))["level"] == 1
        for value in (0, 1000, 4095):
            await board.adc_set(0, value)
            assert await dev.sys.eval("adc.read_u16() >> 4") == value


# ---- resets in the middle of something


async def test_a_reset_in_the_middle_of_a_stream(board: Emulator) -> None:
    async with with_files(board, probe()) as dev:
        lost = list[str]()

        async def call() -> None:
            try:
                await dev.probe.wait("x")
            except LostCallError as exc:
                lost.append(type(exc).__name__)

        before = dev._cmd.core.peer
        async with anyio.create_task_group() as tasks, dev.probe.on("S") as values:
            tasks.start_soon(call)
            assert [await values.recv() for _ in range(20)] == list(range(20))
            await board.reset()
            with pytest.raises(CallUnknownError):
                await _numbers_from(20, values)
        assert lost == ["CallUnknownError"]
        await started(dev, before)
        assert await dev.probe.running() == 0
        async with dev.probe.count(30) as values:
            assert [value async for value in values] == list(range(30))


async def _numbers_from(n: int, values: CallStream) -> None:
    async for value in values:
        assert value == n
        n += 1


async def test_the_pty_hangs_up_with_a_reset_and_comes_again(board: Emulator) -> None:
    async with on(board, SerialLink(str(board.ptys["usb"]))) as dev:
        for n in range(3):
            await dev.sys.exec(f"n = {n}")
            assert await dev.sys.eval("n") == n
            await reset(board, dev)
            with pytest.raises(NameError):
                await dev.sys.eval("n")


async def test_the_power_goes_while_a_file_is_written(board: Emulator) -> None:
    async with on(board) as dev:
        await write(dev, "/kept", b"old")
        before = dev._cmd.core.peer
        erased = (await board.statistics())["flash"]["erased_sectors"]
        program = "while True:\n    with open('/other', 'wb') as f:\n        f.write(bytes(9000))"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_lost, dev, program)
            await until(board, lambda now: now["flash"]["erased_sectors"] >= erased + 10)
            await board.power(False)
            await board.power(True)
        await started(dev, before)
        assert await read(dev, "/kept") == b"old"


async def _until_lost(dev: Device, program: str) -> None:
    with pytest.raises(LostCallError):
        await run_program(dev, program)


# ---- back-pressure


async def settled(board: Emulator) -> int:
    """Wait until the board has sent nothing for half a second; returns how many bytes it has."""
    count, since = -1, 0.0

    def done(now: dict[str, Any]) -> bool:
        nonlocal count, since
        if now["usb"]["from_board"] != count:
            count, since = now["usb"]["from_board"], now["board_ms"]
        return now["board_ms"] > since + 500

    await until(board, done)
    return count


async def test_a_host_that_does_not_read_holds_messages_up_and_not_the_loop(
    board: Emulator,
) -> None:
    async with (
        with_files(board, {"app/source.py": SOURCE}) as dev,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_forever, dev)
        async with board.gpio_watch(25) as edges, dev.source.blocks(200) as values:
            assert await values.recv() == bytes(500)
            await board.hold("usb")
            sent = await settled(board)
            async for _ in _some(edges, 5):  # it goes on
                pass
            assert (await board.statistics())["usb"]["from_board"] == sent
            await board.hold("usb", False)
            got = [value async for value in values]
            assert got == [bytes((i & 255,)) * 500 for i in range(1, 200)]
            assert sent < 50_000  # of 100,000
        tasks.cancel_scope.cancel()


async def _forever(dev: Device) -> None:
    await dev.source.blink()


async def _some(items: AsyncIterator[object], n: int) -> AsyncIterator[object]:
    for _ in range(n):
        yield await anext(items)


async def test_a_device_that_does_not_read_holds_the_host_up(board: Emulator) -> None:
    async with with_files(board, probe()) as dev:
        data = [bytes((n + 4,)) * 3000 for n in range(8)]  # no 3: each is read by itself
        results = dict[int, bytes]()

        async def ping(n: int) -> None:
            results[n] = await dev.sys.ping(data[n])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_block, dev)
            for n in range(8):
                tasks.start_soon(ping, n)
        assert [results[n] for n in range(8)] == data


async def _block(dev: Device) -> None:
    await dev.probe.block(1000)


# ---- the console


async def mpremote(board: Emulator, *args: str) -> str:
    """Run mpremote on the board's pty; returns what it prints."""
    command = [sys.executable, "-m", "mpremote", "connect", str(board.ptys["usb"]), *args]
    with anyio.fail_after(25):
        done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode().strip()


async def test_mpremote_and_the_stack_take_turns(board: Emulator, tmp_path: Path) -> None:
    app = tmp_path / "two.py"
    app.write_text(SOURCE + "\n    async def cmd_two(self):\n        return 2\n")
    async with on(board, SerialLink(str(board.ptys["usb"]))) as dev:
        assert await dev.sys.ping(b"\3") == b"\3"
    assert await mpremote(board, "exec", "print(1+1)") == "2"
    await mpremote(board, "fs", "mkdir", ":/app", "+", "fs", "cp", str(app), ":/app/two.py")
    await mpremote(board, "reset")
    await board.until(usb=True)
    async with on(board, SerialLink(str(board.ptys["usb"]))) as dev:
        assert await dev.two.two() == 2


async def test_ctrl_c_gives_the_repl_and_a_soft_reset_the_stack(board: Emulator) -> None:
    link = SerialLink(str(board.ptys["usb"]))
    async with on(board, link) as dev:
        assert await dev.sys.ping(1) == 1
    async with link:
        await link.wr(b"\3")
        await expect(link, b">>> ")
        await link.wr(b"print(6 * 7)\r")
        await expect(link, b"\r\n42\r\n")
        await link.wr(b"\4")
        await expect(link, b"soft reboot\r\n")
    async with on(board, link) as dev:
        assert await dev.sys.ping(2) == 2


# ---- speed


async def test_from_reset_to_the_first_reply(board: Emulator) -> None:
    async with on(board) as dev:
        before = dev._cmd.core.peer
        began = time.monotonic()
        await board.reset()
        await started(dev, before)
        assert await dev.sys.ping(1) == 1
        wall = time.monotonic() - began
        count = (await board.statistics())["instructions_since_reset"]
    print(f"{count:,} instructions, {wall:.2f} s")
    assert count <= MAX_INSTRUCTIONS


async def test_the_first_reply_of_a_new_board() -> None:
    """It makes its file system before."""
    async with Emulator(off=True) as board:
        await board.power(True)
        await board.until(usb=True)
        async with on(board) as dev:
            assert await dev.sys.ping(1) == 1
        assert (await board.statistics())["instructions"] <= MAX_INSTRUCTIONS
