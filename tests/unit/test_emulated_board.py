"""The emulated board from outside, with a blank flash: control port, registry, drive, `make`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from moat.micro.boards import load
from moat.micro.testing.emulator import Emulator, EmulatorError
from tools import emulate, emulator
from tools.common import ROOT, ToolError

LIMIT = 30


@pytest.fixture(scope="session", autouse=True)
def made() -> None:
    emulator.prepare()


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Emulator]:
    """One with nothing in its flash."""
    with anyio.fail_after(LIMIT):
        async with Emulator(image=None, folder=tmp_path) as board:
            yield board


async def test_a_blank_board_is_in_its_boot_loader(board: Emulator) -> None:
    await board.until(state="bootloader")
    assert (await board.state())["usb"] is False
    assert (board.drive / "INFO_UF2.TXT").is_file()


async def test_power(board: Emulator) -> None:
    await board.until(state="bootloader")
    async with board.events() as events:
        await board.power(False)
        assert await anext(events) == {"event": "state", "state": "off"}
        await board.power(True)
        assert await anext(events) == {"event": "reset", "reason": "power"}
        await board.until(state="bootloader")
    assert (await board.statistics())["resets"] == 2


async def test_what_the_board_refuses_is_an_error_with_the_reason(board: Emulator) -> None:
    await board.until(state="bootloader")
    with pytest.raises(EmulatorError, match="the board is bootloader"):
        await board.gpio_set(1, 1)
    with pytest.raises(EmulatorError, match=r"channel is 0 to 4"):
        await board.adc_set(9, 0)
    with pytest.raises(EmulatorError, match=r"there is no UART 2"):
        await board.hold("uart2")
    with pytest.raises(EmulatorError, match="unknown command"):
        await board.request("fly")
    with pytest.raises(EmulatorError, match="ENOENT"):
        await board.flash("/none")


async def test_the_usb_port_refuses_while_there_is_no_usb(board: Emulator) -> None:
    await board.until(state="bootloader")
    stream = await anyio.connect_tcp("127.0.0.1", board.info["ports"]["usb"])
    async with stream:
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()


async def test_when_it_has_ended_all_that_waits_is_told(board: Emulator) -> None:
    async with board.events() as events:
        await board.until(state="bootloader")
        os.kill(board.process.pid, signal.SIGKILL)
        async for _ in events:
            pass
    with pytest.raises(EmulatorError, match="has ended"):
        await board.state()


@pytest.mark.parametrize(
    ("options", "why"),
    [({"flash": "/none/such"}, "ENOENT"), ({"image": "/none"}, "ENOENT"), ({"x": "1"}, "--x")],
)
async def test_it_does_not_start_and_says_why(options: dict[str, str], why: str) -> None:
    with pytest.raises(EmulatorError, match=f"does not start: .*{why}"):
        async with Emulator(**{"image": None, **options}):
            pass


async def test_what_is_not_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path))
    with pytest.raises(EmulatorError, match=r"rp2 is not built; run: make BOARD=rp2 build$"):
        async with Emulator():
            pass


def registered(folder: Path) -> list[Path]:
    return list((folder / "emulators").glob("*"))


async def test_others_find_it_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOAT_RUN", str(tmp_path / "run"))
    async with Emulator(
        image=None, folder=tmp_path, register="some", unique_id="0123456789abcdef"
    ) as board:
        (file,) = registered(tmp_path / "run")
        found = json.loads(file.read_text())
        assert file.name == f"{board.process.pid}.json"
        assert found == {**board.info, "board": "some"}
        assert found["unique_id"] == "0123456789abcdef"
        assert set(found["ports"]) == {"usb", "uart0", "uart1", "control"}
        assert found["ptys"]["uart0"] == str(tmp_path / "uart0")
        assert found["drive"] == str(tmp_path / "drive")
    assert not registered(tmp_path / "run")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    monkeypatch.setenv("MOAT_RUN", str(tmp_path))
    async with Emulator(image=None, register="some") as board:
        board.process.send_signal(end)
        assert await board.process.wait() == 0
        assert not registered(tmp_path)


async def test_a_port_can_be_a_named_socket(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    for _ in range(2):  # what a killed one has left does not matter
        async with Emulator(image=None, port_uart0=str(path)) as board:
            assert board.info["ports"]["uart0"] == str(path)
            async with await anyio.connect_unix(path):
                pass
            board.process.kill()
            await board.process.wait()


def test_standard_input_and_output_end_it() -> None:
    argv = [*load("rp2").command()[:2], "--stdio", "--info", "/dev/stderr"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=True
    )
    assert done.stdout == b""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stderr
        assert json.loads(process.stderr.readline())["pid"] == process.pid
        process.stdin.close()
        assert process.wait(LIMIT) == 0


def test_make_emulate_shows_what_there_is(tmp_path: Path) -> None:
    env = {**os.environ, "MOAT_BUILD": str(tmp_path), "MOAT_RUN": str(tmp_path / "run")}
    argv = [sys.executable, "-m", "tools.emulate", "rp2", "--blank"]
    with (
        subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout
        text = ""
        while "state: bootloader" not in text:
            line = process.stdout.readline()
            assert line, text
            text += line
        folder = tmp_path / "rp2"
        for what in (f"moat-sat -d {folder}/emulated/usb info", "drive", "nc 127.0.0.1"):
            assert what in text
        assert (folder / "flash.bin").stat().st_size == 2 << 20
        second = subprocess.run(
            argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == "error: an emulated rp2 runs already\n"
        assert len(registered(tmp_path / "run")) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0
    assert not registered(tmp_path / "run")


def test_a_board_without_such_an_emulator_is_refused() -> None:
    with pytest.raises(ToolError, match="try: make BOARD=qemu-arm run"):
        emulate._main(["qemu-arm"])
    with pytest.raises(ToolError, match="usage"):
        emulate._main([])


async def test_a_serial_port_has_one_client_at_a_time(board: Emulator) -> None:
    port = board.info["ports"]["uart0"]
    first = await anyio.connect_tcp("127.0.0.1", port)
    async with await anyio.connect_tcp("127.0.0.1", port) as second:
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await second.receive()
    await first.aclose()
    # The next one may come before anybody has noticed that the last one has left.
    for _ in range(20):
        stream = await anyio.connect_tcp("127.0.0.1", port)
        with anyio.move_on_after(0.02) as scope:
            await stream.receive()  # it would end at once
        assert scope.cancelled_caught
        await stream.aclose()
