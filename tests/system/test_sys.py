"""The app `sys` of real devices: time, memory, log, evaluating, resets."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest

from moat.micro.device import Device, connect, ready, reset
from moat.micro.errors import CallUnknownError
from moat.micro.net.process import ProcessLink
from moat.micro.testing.console import Console
from tests.system.conftest import Start
from tests.system.support import ROOT, is_process, link_in
from tools.docs import block

YEAR_2040 = 2_208_988_800_000_000


async def test_the_time_can_be_set(device: Device) -> None:
    before = await device.sys.time()
    await device.sys.set_time(YEAR_2040)
    first = await device.sys.time()
    assert YEAR_2040 <= first < YEAR_2040 + 10_000_000
    assert first < await device.sys.time() < YEAR_2040 + 20_000_000
    await device.sys.set_time(before)
    assert before <= await device.sys.time() < before + 20_000_000


async def test_the_clock_of_a_process_is_the_machines(device: Device, target: str) -> None:
    off = await device.sys.time() / 1e6 - time.time()
    assert (abs(off) < 60) == is_process(target)


RTC = """
import sys, time
class RTC:
    def datetime(self, t):
        RTC.set = t
class machine:
    pass
m = machine()
m.RTC = RTC
sys.modules["machine"] = m
"""


async def test_setting_the_time_sets_the_boards_clock(device: Device) -> None:
    await device.sys.exec(RTC)
    await device.sys.set_time(YEAR_2040 + (3600 + 62) * 1_000_000 + 500_000)
    assert await device.sys.eval("RTC.set") == [2040, 1, 1, 6, 1, 1, 2, 0]


async def test_memory(device: Device) -> None:
    await device.sys.exec("x = bytes(20000)")
    full = await device.sys.gc()
    await device.sys.exec("x = None")
    free = await device.sys.gc()
    assert free["free"] - full["free"] > 15_000
    assert full["alloc"] - free["alloc"] > 15_000
    mem = await device.sys.mem()
    assert mem["free"] <= free["free"] + 5_000
    assert abs(mem["free"] + mem["alloc"] - free["free"] - free["alloc"]) < 500_000


async def test_eval_and_exec_share_their_names(device: Device) -> None:
    await device.sys.exec("import sys\nasync def f(x):\n    return x + 1\nn = 41")
    assert await device.sys.eval("f(n)") == 42
    assert await device.sys.eval("sys.platform") in ("linux", "qemu", "rp2")
    with pytest.raises(SyntaxError):
        await device.sys.exec("1 +")
    with pytest.raises(ZeroDivisionError):
        await device.sys.eval("1 / 0")
    with pytest.raises(TypeError):
        await device.sys.eval("object()")


async def test_what_fails_on_the_device_is_in_its_log(start: Start) -> None:
    files = {"app/bad.py": "1 / 0\n", "main.py": "async def main():\n    raise ValueError('x')\n"}
    async with start(files) as dev, dev.sys.log() as records:
        assert (await records.recv())[::2] == [40, "main(): ValueError: x"]
        with pytest.raises(ImportError):
            await dev.bad.any()
        level, _, text, dropped = await records.recv()
        assert (level, dropped) == (40, 0)
        assert text.startswith("the app 'bad': ZeroDivisionError: ")


async def test_the_log_of_an_app(device: Device) -> None:
    await device.sys.exec("from moat.micro import log")
    async with device.sys.log("debug") as records:
        await device.sys.exec("log.debug('%d of %d', 1, 2)\nlog.info('x', 3)")
        assert (await records.recv())[::2] == [10, "1 of 2"]
        assert (await records.recv())[::2] == [20, "x (3,)"]


async def test_the_oven_of_the_documentation(start: Start) -> None:
    code = block(ROOT / "docs/commands.md", "app/oven.py")
    async with start({"app/oven.py": code}) as dev, dev.sys.log("debug") as records:
        assert await dev.oven.heat(300) == 250
        assert (await records.recv())[::2] == [30, "300 degrees: this is an oven, no furnace"]
        assert (await records.recv())[::2] == [10, "heating"]


async def test_a_soft_reset_replies_and_the_stack_comes_back(device: Device) -> None:
    await device.sys.exec("n = 1")
    async with device.sys.log() as records:
        assert await device.sys.reset() is None
        with pytest.raises(CallUnknownError):
            await records.recv()
    await ready(device)
    with pytest.raises(NameError):
        await device.sys.eval("n")


async def test_soft_resets_time_and_again(device: Device) -> None:
    for n in range(3):
        await device.sys.exec(f"n = {n}")
        await reset(device)
        with pytest.raises(NameError):
            await device.sys.eval("n")


async def test_a_soft_reset_of_a_process_keeps_it_and_closes_its_sockets(tmp_path: Path) -> None:
    async with connect(link_in("unix", tmp_path), timeout=30) as dev:
        before = await pid(dev)
        await dev.sys.exec("import socket\ns = socket.socket()")
        assert sockets(before) == 1
        async with dev.sys.log() as records:
            await dev.sys.reset()
            with pytest.raises(CallUnknownError):
                await records.recv()
        await ready(dev)
        assert await pid(dev) == before
        assert sockets(before) == 0


async def pid(dev: Device) -> int:
    """The id of the process that a unix image runs in."""
    return int((await dev.sys.eval("open('/proc/self/stat').read()")).split()[0])


def sockets(process: int) -> int:
    """How many a process has open."""
    links = [path.readlink().name for path in Path(f"/proc/{process}/fd").iterdir()]
    return sum(name.startswith("socket:") for name in links)


def has_boot_loader(target: str) -> bool:
    """Whether it is a board as on a desk: a hard reset ends nothing."""
    return target == "emu:rp2"


async def test_a_hard_reset_replies_and_ends_a_process(
    target: str, device_folder: Path, console: Console
) -> None:
    if has_boot_loader(target):
        pytest.skip("it starts anew: see test_rp2")
    link = link_in(target, device_folder)
    assert isinstance(link, ProcessLink)
    async with connect(link, console=console, timeout=30) as dev:
        async with dev.sys.log() as records:
            assert await dev.sys.reset(hard=True) is None
            with pytest.raises(CallUnknownError):
                await records.recv()
        with anyio.fail_after(10):
            await dev._cmd.closed()
        assert link.process
        assert await link.process.wait() == 0


async def test_there_is_no_boot_loader_here(device: Device, target: str) -> None:
    if has_boot_loader(target):
        pytest.skip("there is one: see test_rp2")
    with pytest.raises(NotImplementedError, match="no boot loader"):
        await device.sys.bootloader()
    assert await device.sys.ping(2) == 2
