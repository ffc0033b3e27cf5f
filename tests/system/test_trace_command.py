"""moat-sat trace: how long each part of the way takes."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import anyio
import pytest

from moat.micro.cli.trace import parts
from moat.micro.device import connect
from tests.system.row import NEXT, UP, alone, client, connected, server, write_device
from tests.system.support import probe, write_files
from tests.system.test_command_line import moat_sat

NUMBER = r"\d+\.\d\d"


def test_each_part_takes_what_the_next_one_has_not():
    traces = [
        [("here", 1000), ("one", 600), ("two", 100)],
        [("here", 2000), ("one", 1600), ("two", 200)],
        [("here", 1500), ("one", 1200), ("two", 150)],
    ]
    assert parts(traces) == [("here - one", 400), ("one - two", 1050), ("the command", 150)]


def test_a_device_without_a_name_is_numbered():
    names = [name for name, _ in parts([[("here", 9), ("", 5), ("", 1)]])]
    assert names == ["here - hop 1", "hop 1 - hop 2", "the command"]


async def test_it_prints_hop_by_hop(tmp_path: Path):
    near, far = tmp_path / "near", tmp_path / "far"
    write_device(far, {"name": "far", "apps": UP, "up": server(kind="unix", path="s")}, probe())
    cfg = {
        "name": "near",
        "apps": {**NEXT, **UP},
        "next": client(kind="unix", path="../far/s"),
        "up": server(kind="unix", path="s"),
    }
    write_device(near, cfg, {})
    target = f"unix:{near}/s"

    async def ping() -> None:
        async with connect(target, docs=False) as dev:
            await dev.next.sys.ping()

    async with alone(far), alone(near):
        await connected(ping)
        trace = partial(moat_sat, tmp_path, "trace", device=target)
        done = await anyio.to_thread.run_sync(trace, "-n", "3", "next.probe.add", "1")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(f"^ *next.probe.add: {NUMBER} ms *$", done.stdout, re.MULTILINE)
        for part in ("here - near", "near - far", "the command"):
            assert re.search(f"│ {part} +│ +{NUMBER} │", done.stdout)


@pytest.mark.parametrize("calls", [1, 4])
def test_the_command_runs_as_often_as_it_is_told(tmp_path: Path, calls: int):
    write_files(tmp_path, {**probe(), "app/count.py": COUNT})
    done = moat_sat(tmp_path, "trace", "-n", str(calls), "count.more")
    assert done.returncode == 0
    assert json.loads((tmp_path / "count").read_text()) == calls


COUNT = """
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    n = 0

    async def cmd_more(self):
        self.n += 1
        with open("count", "w") as file:
            file.write(str(self.n))
"""
