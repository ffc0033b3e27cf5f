"""The boards that are built by ESP-IDF, where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from moat.micro import boards
from moat.micro.boards import CHIPS, BoardError, load
from tools import build, idf, image
from tools.common import ROOT, ToolError

NAMES = ("esp32", "esp32-c3", "esp32-s3")
ESP = """
title = "A board"
mcu = "M"
port = "esp32"
image = "image.bin"
flash = "esptool"
link = "serial"
needs = []
[build.make]
[esp]
chip = "esp32s3"
offset = "0x1000"
"""


@pytest.fixture
def without_idf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IDF_PATH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_where_esptool_puts_an_image(tmp_path: Path) -> None:
    path = tmp_path / "one" / "board.toml"
    path.parent.mkdir()
    path.write_text(ESP)
    board = boards.parse(path)
    assert board.esp == boards.Esp("esp32s3", 0x1000)
    assert board.elf_path.name == "micropython.elf"
    path.write_text(ESP.replace("esp32s3", "esp33"))
    with pytest.raises(BoardError, match=r"esp\.chip is 'esp33', not one of: esp32, "):
        boards.parse(path)
    path.write_text(ESP.replace("0x1000", "up"))
    with pytest.raises(BoardError, match=r"esp\.offset must be a number such as"):
        boards.parse(path)


@pytest.mark.parametrize("name", NAMES)
def test_without_it_one_line_says_what_to_do(without_idf: None, name: str) -> None:
    with pytest.raises(ToolError) as err:
        build.build(load(name))
    line = str(err.value)
    assert line.startswith(f"board {name}: it needs ESP-IDF")
    assert "MPY_DIR=…" in line
    assert "make BOARD=stock install PORT=…" in line
    assert "\n" not in line


def test_building_all_boards_goes_on(
    without_idf: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[str] = []
    monkeypatch.setattr(build, "build", lambda board: built.append(board.name))
    build._build_all()
    assert built == ["qemu-arm", "qemu-rv32", "rp2", "rp2350", "stock", "unix"]
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == [*NAMES, "rp2-w", "rp2350-w"]


def tool(folder: Path, name: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_it_is_there_when_all_of_it_is(
    without_idf: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    board = load("esp32-c3")
    tool(tmp_path, "idf.py")
    tool(tmp_path, "riscv32-esp-elf-gcc")
    assert idf.missing(board)
    monkeypatch.setenv("IDF_PATH", str(tmp_path))
    assert not idf.missing(board)
    (tmp_path / "idf.py").unlink()
    assert idf.missing(board)
    assert not idf.missing(load("unix"))


@pytest.mark.parametrize("name", NAMES)
def test_the_board_is_one_that_the_port_has(name: str, tmp_path: Path) -> None:
    """Of MicroPython's source, so it can be said without building."""
    from tools import fetch

    board = load(name)
    source = fetch.source()
    folder = source / "ports" / "esp32" / "boards" / board.build["BOARD"]
    facts = (folder / "mpconfigboard.cmake").read_text()
    assert board.esp
    target = board.esp.chip
    assert f"set(IDF_TARGET {target})" in facts or target == "esp32"
    assert board.esp.chip in CHIPS
    frozen = {file.name for file in image.frozen(board.manifest, board, source)}
    assert {"_boot.py", "main.py", "_port.py", "asyncio/core.py", "moat/micro/rt.py"} <= frozen
    manifest = image.prepare(board, source, tmp_path)
    assert (tmp_path / "image" / image.HASH_MODULE).is_file()
    assert str(tmp_path / "image") in manifest.read_text()


def test_the_makefile_says_it(without_idf: None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.build", "esp32"], cwd=ROOT,
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: board esp32: it needs ESP-IDF")
