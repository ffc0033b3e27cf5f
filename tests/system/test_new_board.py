"""A board of one's own: the example in docs/boards.md, and one that is built and run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from moat.micro.boards import Facts, build_dir, load, parse
from moat.micro.device import connect
from moat.micro.net.process import ProcessLink

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/boards.md").read_text()
BUILD_S = 280

BOARD = """\
# SPDX-License-Identifier: Apache-2.0
title = "Another process"
mcu = "host"
port = "unix"
image = "micropython"
flash = "run"
link = "stdio"
needs = [{tool = "gcc", package = "gcc libc6-dev", file = "crt1.o"}]
[build]
like = "unix"
[build.make]
[run]
command = ["{image}"]
[run.serial]
stdio = []
[facts]
led = "LED_A"
button = 3
baud = 9600
"""


def test_the_guides_example_is_a_board_with_three_files(tmp_path: Path) -> None:
    section = GUIDE[GUIDE.index("## A new board") :]
    files = re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```\n", section, re.DOTALL)
    files = [(name, text) for name, text in files if name != "manifest.py"]
    assert [name for name, _ in files] == [
        "board.toml", "mpconfigboard.cmake", "mpconfigboard.h",
    ]  # fmt: skip
    for name, text in files:
        (tmp_path / name).write_text(text)
    board = parse(tmp_path / "board.toml")
    assert board.facts == Facts(17, None, 115200, lossy=True)
    assert board.manifest == load("rp2").manifest
    assert board.usb == load("rp2").usb


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the board `mine`: three small files."""
    folder = tmp_path / "boards/mine"
    folder.mkdir(parents=True)
    (folder / "board.toml").write_text(BOARD)
    for name in ("mpconfigvariant.h", "mpconfigvariant.mk"):
        (folder / name).write_text((ROOT / "boards/unix" / name).read_text())
    (tmp_path / "build").mkdir()
    (tmp_path / "build/mpy-cross").symlink_to(build_dir() / "mpy-cross")  # else it takes longer
    monkeypatch.setenv("MOAT_BOARDS", str(tmp_path / "boards"))
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path / "build"))
    return tmp_path


def make(*words: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False,
        timeout=BUILD_S,
    )  # fmt: skip


@pytest.fixture
def built(places: Path) -> Path:
    done = make("BOARD=mine", "build")
    assert done.returncode == 0, done.stderr
    return places / "build/mine/micropython"


def test_make_knows_a_board_in_another_folder(places: Path) -> None:
    assert re.search(r"^BOARD is one of: .*\bmine\b", make("help").stdout, re.MULTILINE)


@pytest.mark.slow
async def test_a_new_board_is_built_and_knows_its_facts(built: Path, tmp_path: Path) -> None:
    link = ProcessLink([str(built)], cwd=str(tmp_path))
    async with connect(link, docs=False) as dev:
        await dev.sys.exec("from moat.micro import board")
        names = "NAME", "LED", "BUTTON", "LINK", "BAUD", "LOSSY"
        values = [await dev.sys.eval(f"board.{name}") for name in names]
        assert values == ["mine", "LED_A", 3, "stdio", 9600, False]
    facts = load("mine").facts
    assert (facts.led, facts.button, facts.baud, facts.lossy) == ("LED_A", 3, 9600, False)
