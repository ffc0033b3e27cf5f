"""Apps from the config of a device: started, changed as they run; safe mode."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
import pytest
from msgpack import packb, unpackb

from moat.micro.boards import load
from moat.micro.device import Device
from moat.micro.errors import LinkLost, NotFoundError, NotReadyError
from moat.micro.testing.console import Console
from tests.system.conftest import Start
from tests.system.support import is_process, reset, started

CLOCK = """
from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    ticks = 0

    def __init__(self, settings=None):
        self.settings = settings or {}
        print("made")

    @rt.asynccontextmanager
    async def _ctx(self):
        print("set-up", self.settings.get("n"))
        try:
            yield self
        finally:
            print("tear-down", self.settings.get("n"))

    async def run(self):
        while True:
            if "fail" in self.settings:
                raise ValueError(self.settings["fail"])
            self.ticks += 1
            await rt.sleep_ms(5)

    async def cmd_ticks(self):
        return self.ticks

    async def cmd_settings(self):
        return self.settings
"""
LAMP = """
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    def __init__(self, settings):
        self.pin = settings["pin"]

    async def cmd_pin(self):
        return self.pin
"""
FILES = {"app/clock.py": CLOCK, "app/lamp.py": LAMP}
QUICK = {"base_ms": 1, "max_ms": 1000, "jitter": 0}
HOUSE = {
    "apps": {"watch": "app.clock:App", "lamps": "app.lamp:App", "cellar": "dir"},
    "watch": {"n": 1},
    "lamps": [{"pin": 5}, {"pin": 6}],
    "cellar": {"apps": {"lamp": "app.lamp:App"}, "lamp": {"pin": 7}},
}


@asynccontextmanager
async def configured(
    start: Start, target: str, folder: Path, cfg: Mapping[str, Any] | bytes, more: Any = None
) -> AsyncIterator[Device]:
    """Start a device that has this config, wherever it keeps it."""
    files = {**FILES, **(more or {})}
    if is_process(target):
        (folder / "moat.cfg").write_bytes(cfg if isinstance(cfg, bytes) else packb(cfg))
        async with start(files) as dev:
            yield dev
    else:
        assert not isinstance(cfg, bytes)
        async with start(files) as dev:
            await dev.cfg.set([], cfg)
            assert await dev.cfg.save() is False  # a device without a config has to start anew
            await reset(dev)
            yield dev


@pytest.fixture
def start_unix(device_folder: Path, console: Console) -> Start:
    """Start a unix image: for tests that look at the device's files, or kill it."""
    return partial(started, "unix", device_folder, console)


async def test_the_apps_of_the_config_run(
    start: Start, target: str, device_folder: Path, console: Console
):
    async with configured(start, target, device_folder, HOUSE) as dev:
        await console.expect("set-up 1")
        assert await dev.rdy_(wait=True) == {"state": "ready"}
        assert await dev.lamps[1].pin() == 6
        assert await dev.cellar.lamp.pin() == 7
        before = await dev.watch.ticks()
        while await dev.watch.ticks() == before:
            await dev.sys.ping()
        assert (await dev.sys.info())["safe_mode"] is None
        assert {"sys", "run", "cfg", "clock", "watch", "lamps"} <= set((await dev.dir_())["d"])
        assert (await dev.lamps.dir_())["d"] == [0, 1]


async def test_a_saved_change_reaches_the_app_at_once(
    start: Start, target: str, device_folder: Path, console: Console
):
    async with configured(start, target, device_folder, HOUSE) as dev:
        await console.expect("set-up 1")
        await dev.cfg.set(["watch", "n"], 2)
        await dev.cfg.set(["lamps", 2], {"pin": 8})
        assert await dev.watch.settings() == {"n": 1}
        assert await dev.cfg.save() is True
        await console.expect("tear-down 1")
        await console.expect("set-up 2")
        await dev.rdy_(wait=True)
        assert await dev.watch.settings() == {"n": 2}
        assert await dev.lamps[2].pin() == 8
        await dev.cfg.delete(["apps", "watch"])
        await dev.cfg.save()
        await console.expect("tear-down 2")
        with pytest.raises(NotFoundError):
            await dev.watch.ticks()


async def test_stop_and_start(start: Start, target: str, device_folder: Path, console: Console):
    async with configured(start, target, device_folder, HOUSE) as dev:
        await dev.watch.rdy_(wait=True)
        await dev.watch.stp_()
        assert "tear-down 1" in console.text
        assert await dev.watch.rdy_() == {"state": "down"}
        with pytest.raises(NotReadyError, match="'watch' is stopped"):
            await dev.watch.ticks()
        await dev.watch.upd_()
        await dev.watch.rdy_(wait=True)
        assert await dev.watch.ticks() >= 0


def test_the_apps_are_torn_down_when_the_port_closes(device_folder: Path):
    (device_folder / "moat.cfg").write_bytes(packb(HOUSE))
    (device_folder / "app").mkdir()
    for name, text in FILES.items():
        (device_folder / name).write_text(text)
    done = subprocess.run(
        [load("unix").image_path], cwd=device_folder, stdin=DEVNULL, stdout=PIPE, check=False
    )
    assert b"set-up 1" in done.stdout
    assert b"tear-down 1" in done.stdout
    assert not (device_folder / "moat.starts").exists()


# ---- safe mode


async def expect_safe(dev: Device, reason: str) -> None:
    """Check that only the bare stack is there, and why."""
    assert reason in (await dev.sys.info())["safe_mode"]
    assert (await dev.dir_())["d"] == ["cfg", "run", "sys"]


MAIN = """
from moat.micro import rt
print("top")
async def main():
    print("main runs")
"""


@pytest.mark.parametrize(
    ("cfg", "reason"),
    [
        (packb(HOUSE)[:-1], "ValueError: the config file is damaged"),
        (packb({"apps": {"x": "nonsense"}}), "ValueError: x: 'nonsense' is no class"),
        (packb({"apps": {"x": "nowhere:App"}}), "the app 'x' has failed: ImportError: "),
        (packb({"apps": {"l": "app.lamp:App"}, "l": [{"no": 1}]}), "the app 'l.0' has failed: Ke"),
        (packb({"apps": {"sys": "app.lamp:App"}}), "'sys' cannot be the name of an app"),
    ],
)
async def test_what_fails_at_the_start_leads_to_safe_mode(
    start_unix: Start, device_folder: Path, console: Console, cfg: bytes, reason: str
):
    async with configured(start_unix, "unix", device_folder, cfg, {"main.py": MAIN}) as dev:
        await expect_safe(dev, reason)
        await console.search("safe mode: .*" + re.escape(reason))
        assert "main runs" not in console.text
        assert (device_folder / "moat.cfg").read_bytes() == cfg


async def test_three_restarts_in_a_row_lead_to_safe_mode(
    start: Start, target: str, device_folder: Path, console: Console
):
    cfg = {**HOUSE, "watch": {"n": 1, "fail": "broken", "restart": QUICK}}
    async with configured(start, target, device_folder, cfg) as dev:
        await console.expect("safe mode: ")
        await expect_safe(dev, "the app 'watch' has failed: ValueError: broken")
        assert console.text.count("set-up 1") == 4
        for n in (1, 2, 3):
            assert f"watch has failed, restart {n} in " in console.text
        assert await dev.sys.ping(1) == 1
        async with dev.sys.log("warning") as records:
            told = [(await records.recv())[2] for _ in range(5)]
        assert [text[:30] for text in told[:3]] == [
            f"watch has failed, restart {n} in "[:30] for n in (1, 2, 3)
        ]
        assert told[3] == "watch has failed: ValueError: broken"
        assert told[4].startswith("safe mode: the app 'watch' has failed")


async def test_an_app_that_is_not_essential_leaves_the_others_alone(
    start: Start, target: str, device_folder: Path, console: Console
):
    restart = {**QUICK, "essential": False}
    cfg = {**HOUSE, "watch": {"n": 1, "fail": "broken", "restart": restart}}
    async with configured(start, target, device_folder, cfg) as dev:
        with pytest.raises(NotReadyError, match="'watch' has failed: ValueError: broken"):
            await dev.watch.rdy_(wait=True)
        assert await dev.watch.rdy_() == {
            "state": "failed", "restarts": 3, "error": "ValueError: broken",
        }  # fmt: skip
        assert await dev.lamps[0].pin() == 5
        assert (await dev.sys.info())["safe_mode"] is None


async def test_safe_mode_ends_with_a_config_that_works(
    start: Start, target: str, device_folder: Path
):
    cfg = {"apps": {"watch": "nowhere:App"}, "watch": {"n": 3}}
    async with configured(start, target, device_folder, cfg) as dev:
        await expect_safe(dev, "ImportError")
        assert await dev.cfg.get(["watch"]) == {"n": 3}
        await dev.cfg.set(["apps", "watch"], "app.clock:App")
        assert await dev.cfg.save() is False
        if not is_process(target):
            await reset(dev)
            assert await dev.watch.settings() == {"n": 3}
    if is_process(target):
        async with start({}) as dev:
            assert await dev.watch.settings() == {"n": 3}


async def test_a_damaged_config_is_kept_when_a_new_one_is_written(
    start_unix: Start, device_folder: Path
):
    damaged = packb(HOUSE)[:-1]
    async with configured(start_unix, "unix", device_folder, damaged) as dev:
        await dev.cfg.set([], HOUSE)
        await dev.cfg.save()
    assert unpackb((device_folder / "moat.cfg").read_bytes()) == HOUSE
    assert (device_folder / "moat.cfg.bad").read_bytes() == damaged


async def crash(folder: Path) -> str:
    """Start the unix image, and kill it once it runs its apps; returns what it printed."""
    text = b""
    async with await anyio.open_process([load("unix").image_path], cwd=folder) as device:
        assert device.stdout
        while b"main runs" not in text:
            text += await device.stdout.receive()
        device.kill()
    return text.decode("latin-1")


async def test_three_crashes_in_a_row_lead_to_safe_mode_which_does_not_last(
    start_unix: Start, device_folder: Path, console: Console
):
    async with configured(start_unix, "unix", device_folder, HOUSE, {"main.py": MAIN}):
        pass  # ends in order
    assert not (device_folder / "moat.starts").exists()
    for n in (1, 2, 3):
        assert "set-up 1" in await crash(device_folder)
        assert (device_folder / "moat.starts").stat().st_size == n
    console.text = ""
    async with start_unix({}) as dev:
        await expect_safe(dev, "started 3 times in a row")
        assert "top" not in console.text  # main.py was not run at all
        assert "set-up" not in console.text
        assert (device_folder / "moat.starts").stat().st_size == 3
    async with start_unix({}) as dev:  # safe mode has ended in order
        assert (await dev.sys.info())["safe_mode"] is None
        assert await dev.lamps[0].pin() == 5


BOARD = """
import os
import sys

class Machine:
    @staticmethod
    def reset():
        print("counted", "moat.starts" in os.listdir())
        raise SystemExit

sys.modules["machine"] = Machine
"""


async def test_a_reset_that_was_asked_for_is_no_crash(
    start_unix: Start, device_folder: Path, console: Console
):
    with suppress(LinkLost):
        async with configured(start_unix, "unix", device_folder, HOUSE, {"main.py": BOARD}) as dev:
            assert (device_folder / "moat.starts").exists()
            await dev.sys.reset(hard=True)
            await console.expect("counted False")


async def test_a_start_that_lasts_is_a_good_one(start_unix: Start, device_folder: Path):
    main = "from moat.micro import launch\nlaunch._GOOD_MS = 50\n"
    async with configured(start_unix, "unix", device_folder, HOUSE, {"main.py": main}) as dev:
        while (device_folder / "moat.starts").exists():
            await dev.sys.ping()


async def test_a_set_up_that_takes_long_keeps_no_host_waiting(
    start: Start, target: str, device_folder: Path
):
    files = {"app/slow.py": SLOW}
    cfg = {"apps": {"slow": "app.slow:App"}}
    async with configured(start, target, device_folder, cfg, files) as dev:
        assert await dev.slow.rdy_() == {"state": "starting"}
        await dev.slow.stp_()
        assert await dev.slow.rdy_() == {"state": "down"}


SLOW = """
from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    @rt.asynccontextmanager
    async def _ctx(self):
        await rt.Event().wait()
        yield self
"""


async def test_without_a_config_nothing_is_counted_or_loaded(
    start_unix: Start, device_folder: Path
):
    async with start_unix({**FILES, "app/loaded.py": LOADED}) as dev:
        loaded = await dev.loaded.names()
        assert "moat.micro.serve" in loaded
        for name in ("launch", "cmd.apps", "cmd.keeper", "cmd.config", "cmd.cfg", "app.cfg"):
            assert "moat.micro." + name not in loaded
        assert not (device_folder / "moat.starts").exists()


LOADED = """
import sys
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    async def cmd_names(self):
        return sorted(sys.modules)
"""
