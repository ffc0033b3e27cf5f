"""The facts about the boards: reading them, and that those in the tree are right."""

import os
from pathlib import Path

import pytest

from moat.micro import boards
from moat.micro.boards import BoardError, Facts, Need, Usb, all_boards, load

GOOD = """
title = "A board"
mcu = "M"
port = "unix"
image = "image.bin"
flash = "run"
link = "stdio"
needs = [{tool = "cc", package = "gcc libc6-dev", file = "crt1.o"}, {tool = "x", package = "y"}]
[build.make]
A = "1"
[run]
command = ["emulate", "-k={image}"]
flash = ["-f", "{flash}"]
make = "tool"
made = ["{root}/one", "{root}/two"]
[run.serial]
stdio = []
socket = ["-s", "unix:{socket}"]
"""
FLASHED = """
title = "A board"
mcu = "M"
port = "rp2"
image = "image.uf2"
flash = "uf2"
link = "usb"
needs = []
[build]
libs = ["a-lib"]
[build.make]
[uf2]
family = "rp2040"
[usb]
ids = ["2E8A:0005"]
drive = "RPI-RP2"
[facts]
led = 25
button = "P1"
baud = 9600
lossy = true
"""
BAD = {
    "title is missing": ('title = "A board"', ""),
    "mcu must be a string": ('"M"', "1"),
    "flash is 'x', not one of: esptool, mpremote, run, uf2": ('flash = "run"', 'flash = "x"'),
    "colour is not known": ("[build.make]", 'colour = "red"\n[build.make]'),
    "docs must be true or false": ('flash = "run"', 'flash = "run"\ndocs = 1'),
    "needs must be a list of tables": ("needs = [", "needs = [1, "),
    r"needs\[1\]\.package is missing": (', package = "y"', ""),
    r"needs\[1\]\.size is not known": ('tool = "x"', 'tool = "x", size = 1'),
    r"build\.make is missing": ("[build.make]", "[build.other]"),
    r"build\.make\.A must be a string": ('A = "1"', "A = 1"),
    r"build\.libs must be a list of strings": (
        "[build.make]",
        "[build]\nlibs = [1]\n[build.make]",
    ),
    "uf2 is missing": ('flash = "run"', 'flash = "uf2"'),
    r"uf2 is not known": ("[build.make]", "[uf2]\n[build.make]"),
    r"run\.command must be a list of strings": ('"emulate"', "1"),
    r"run\.serial\.stdio must be a list": ("stdio = []", 'stdio = "x"'),
    r"usb\.ids must be a list of vendor:product": (
        "[build.make]",
        '[usb]\nids = ["2e8a"]\n[build.make]',
    ),
    r"facts\.led must be a number or a string": (
        "[build.make]",
        "[facts]\nled = true\n[build.make]",
    ),
    r"facts\.baud must be a number above 0": (
        "[build.make]",
        '[facts]\nbaud = "9600"\n[build.make]',
    ),
    r"facts\.colour is not known": ("[build.make]", "[facts]\ncolour = 1\n[build.make]"),
    r"run\.how is not known": ("[run.serial]", "how = 1\n[run.serial]"),
    r"line \d": ('"M"', '"M'),
}


def write(folder: Path, text: str = GOOD, name: str = "some") -> Path:
    (folder / name).mkdir(parents=True)
    path = folder / name / "board.toml"
    path.write_text(text)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The boards of an installed wheel, which has them beside the module."""
    folder = tmp_path / "_boards"
    folder.mkdir()
    monkeypatch.setattr(boards, "_INSTALLED", folder)
    return folder


def test_every_key_is_read(tmp_path: Path) -> None:
    board = boards.parse(write(tmp_path))
    assert (board.name, board.title, board.mcu, board.port) == ("some", "A board", "M", "unix")
    assert (board.image, board.flash, board.link) == ("image.bin", "run", "stdio")
    assert board.needs == (Need("cc", "gcc libc6-dev", "crt1.o"), Need("x", "y"))
    assert board.build == {"A": "1"}
    assert board.folder == tmp_path / "some"
    assert not board.docs
    assert boards.parse(write(tmp_path, "docs = true\n" + GOOD, "other")).docs


def test_a_board_that_is_flashed_need_not_run_here(tmp_path: Path) -> None:
    board = boards.parse(write(tmp_path, FLASHED))
    assert (board.libs, board.family, board.run) == (("a-lib",), "rp2040", None)
    assert board.elf_path == board.image_path.with_suffix(".elf")
    assert board.usb == Usb(("2e8a:0005",), "RPI-RP2")
    assert board.facts == Facts(25, "P1", 9600, lossy=True)
    with pytest.raises(BoardError, match=r"^some: this machine cannot run its image$"):
        board.command()
    other = write(tmp_path, FLASHED.replace('"rp2040"', '"rp1"'), "other")
    with pytest.raises(BoardError, match=r"uf2\.family is 'rp1', not one of: rp2040, "):
        boards.parse(other)


def test_image_is_in_the_build_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = boards.parse(write(tmp_path))
    monkeypatch.setenv("MOAT_BUILD", "elsewhere")
    assert board.image_path == Path.cwd() / "elsewhere" / "some" / "image.bin"
    monkeypatch.delenv("MOAT_BUILD")
    assert board.image_path == Path(__file__).parents[2] / "build" / "some" / "image.bin"


def test_command_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOAT_BUILD", "/b")
    board = boards.parse(write(tmp_path))
    assert board.command() == ["emulate", "-k=/b/some/image.bin"]
    assert board.command("socket", socket="/s")[2:] == ["-s", "unix:/s"]
    with pytest.raises(BoardError, match=r"some: no 'pty' console; it has: stdio, socket"):
        board.command("pty")


def test_a_flash_is_kept_where_there_is_one(tmp_path: Path) -> None:
    board = boards.parse(write(tmp_path))
    assert board.command(flash="/f")[2:] == ["-f", "/f"]
    other = boards.parse(write(tmp_path, GOOD.replace('flash = ["-f", "{flash}"]', ""), "other"))
    with pytest.raises(BoardError, match="other: its emulator has no flash that could be kept"):
        other.command(flash="/f")


def test_what_has_to_be_made_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path))
    monkeypatch.setattr(boards, "root", lambda: tmp_path)
    board = boards.parse(write(tmp_path))
    assert board.to_make() == "BOARD=some build tool"
    assert board.to_make(image=False) == "tool"
    board.image_path.touch()
    assert board.to_make() == "tool"
    (tmp_path / "one").touch()
    (tmp_path / "two").touch()
    assert board.to_make() == ""
    board.image_path.unlink()
    assert board.to_make() == "BOARD=some build"


def test_an_emulator_of_the_checkout_is_not_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "root", lambda: None)
    board = boards.parse(write(tmp_path))
    for use in (board.command, board.to_make):
        with pytest.raises(BoardError, match="some: its emulator is only there in a checkout"):
            use()


@pytest.mark.parametrize("message", BAD)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, message: str) -> None:
    old, new = BAD[message]
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(BoardError, match=message) as err:
        boards.parse(path)
    assert str(path) in str(err.value)
    assert "\n" not in str(err.value)


def test_unknown_board_lists_the_known_ones(installed: Path) -> None:
    write(installed, name="one")
    write(installed, name="two")
    with pytest.raises(BoardError, match=r"unknown board 'three'; there are: one, two"):
        load("three")


@pytest.mark.parametrize("name", ["..", "", "one/../one", "/"])
def test_a_name_is_not_a_path(installed: Path, name: str) -> None:
    write(installed, name="one")
    with pytest.raises(BoardError, match="unknown board"):
        load(name)


def test_installed_boards_are_found(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(installed, name="one")
    monkeypatch.delenv("MOAT_BUILD", raising=False)
    monkeypatch.chdir(tmp_path)
    assert [board.name for board in all_boards()] == ["one"]
    assert load("one").image_path == tmp_path / "build" / "one" / "image.bin"


def test_boards_of_other_folders_go_first(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(installed, name="one")
    write(tmp_path / "more", name="one")
    write(tmp_path / "more", name="two")
    write(tmp_path / "most", name="two")
    monkeypatch.setenv(
        "MOAT_BOARDS", os.pathsep.join([str(tmp_path / "most"), "", str(tmp_path / "more")])
    )
    assert [(board.name, board.folder) for board in all_boards()] == [
        ("one", tmp_path / "more/one"), ("two", tmp_path / "most/two"),
    ]  # fmt: skip


def test_a_board_may_have_the_manifest_of_another(installed: Path) -> None:
    write(installed, name="one")
    like = GOOD.replace("[build.make]", '[build]\nlike = "one"\n[build.make]')
    write(installed, like, name="two")
    assert load("one").manifest == installed / "one/manifest.py"
    assert load("two").manifest == installed / "one/manifest.py"
    write(installed, like.replace('"one"', '"none"'), name="three")
    with pytest.raises(BoardError, match="three: it cannot be like 'none', which is no board"):
        _ = load("three").manifest


def test_our_boards_can_be_read() -> None:
    assert [board.name for board in all_boards()] == [
        "esp32", "esp32-c3", "esp32-s3", "qemu-arm", "qemu-rv32", "rp2", "rp2-w", "rp2350",
        "rp2350-w", "stock", "unix",
    ]  # fmt: skip


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_our_boards_are_complete(board: boards.Board) -> None:
    assert board.manifest.is_file()
    if board.port != "stock":  # it is not compiled
        assert board.needs[0].tool.endswith("gcc")  # tools/size.py takes its name from there
    if board.run is None:
        assert board.flash != "run"
        return
    assert "stdio" in board.run.serial
    assert any(str(board.image_path) in arg for arg in board.command())
    kinds = [arg for kind in board.run.serial for arg in board.command(kind, socket="/s")]
    assert not [arg for arg in kinds if "{" in arg]
