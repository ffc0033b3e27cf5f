"""What is decided before the package is copied to a board with stock MicroPython."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from mpremote.romfs import make_romfs

from moat.micro.boards import load
from moat.micro.flash import by_mpremote
from moat.micro.flash._stock import (
    HEAP_NEED,
    MAIN,
    InstallError,
    State,
    choose_way,
    disk_need,
    romfs,
)
from moat.micro.flash.by_mpremote import ReplError, place
from moat.micro.flash.stock import image_hash, read_package, uninstall
from tools.build import build

PACKAGE = {"moat/micro/rt.mpy": b"x" * 5000, "_moat_image.mpy": b"y", "msgpack.mpy": b"z" * 10}
OURS = ("lib", "lib/moat", "lib/msgpack.mpy", "lib/_moat_image.mpy")
GOOD = State(
    (1, 25, 0), "A board", 6, 200_000, "/", 4096, 1_000_000, "/lib", 0, (), "", False, False, False
)
ROM = replace(GOOD, rom=100_000)


def test_files_where_there_is_no_romfs() -> None:
    assert choose_way(GOOD, PACKAGE, way="", force=False) == "files"


@pytest.mark.parametrize("files", [(), OURS])
def test_romfs_where_it_is_empty_or_ours(files: tuple[str, ...]) -> None:
    board = replace(ROM, rom_files=files, heap=HEAP_NEED["romfs"])
    assert choose_way(board, PACKAGE, way="", force=False) == "romfs"


def test_a_romfs_of_the_user_is_kept() -> None:
    board = replace(ROM, rom_files=(*OURS, "lib/mine.mpy"))
    assert choose_way(board, PACKAGE, way="", force=False) == "files"
    with pytest.raises(InstallError, match=r"other files \(lib, lib/moat, .*FORCE=1 replaces"):
        choose_way(board, PACKAGE, way="romfs", force=False)
    assert choose_way(board, PACKAGE, way="", force=True) == "romfs"


def test_files_where_the_romfs_is_too_small() -> None:
    board = replace(ROM, rom=1000)
    assert choose_way(board, PACKAGE, way="", force=False) == "files"
    with pytest.raises(InstallError, match=r"ROMFS partition has 1,000 bytes, 5,\d\d\d are"):
        choose_way(board, PACKAGE, way="romfs", force=False)


@pytest.mark.parametrize(
    ("board", "why"),
    [
        (replace(GOOD, version=(1, 24, 1)), r"^MicroPython 1\.24\.1 runs on the board: 1\.25 or"),
        (replace(GOOD, mpy=5), r"loads \.mpy files of version 5, and these are of version 6$"),
        (replace(GOOD, mpy=0), "of version none"),
        (replace(GOOD, is_ours=True), "runs an image of moat-satellite: it needs no package"),
        (replace(GOOD, disk=10_000), r"^10,000 bytes of its disk are free, 40,960 are needed$"),
        (
            replace(GOOD, heap=119_999),
            r"^119,999 bytes of heap .* 120,000 .*files \(80,000 ",
        ),
        (replace(GOOD, heap=70_000), r"^70,000 bytes of heap .* 120,000 are needed for \.mpy fi"),
        (replace(ROM, heap=79_999), r"^79,999 bytes of heap are free, 80,000 are needed for a RO"),
        (replace(GOOD, main="print(1)"), r"has a main\.py: FORCE=1 renames it to user_main\.py"),
    ],
)
def test_what_is_refused_and_why(board: State, why: str) -> None:
    with pytest.raises(InstallError, match=why):
        choose_way(board, PACKAGE, way="", force=False)


def test_no_romfs_to_be_used() -> None:
    with pytest.raises(InstallError, match="has no ROMFS partition"):
        choose_way(GOOD, PACKAGE, way="romfs", force=False)


def test_two_programs_of_the_user_are_one_too_many() -> None:
    board = replace(GOOD, main="print(1)", has_user_main=True)
    with pytest.raises(InstallError, match="remove one of them"):
        choose_way(board, PACKAGE, way="", force=True)
    assert choose_way(replace(board, main=MAIN), PACKAGE, way="", force=False) == "files"


def test_files_take_the_place_of_old_ones() -> None:
    board = replace(GOOD, disk=10_000, has_files=True)
    assert choose_way(board, PACKAGE, way="", force=False) == "files"


def test_a_file_takes_whole_blocks() -> None:
    assert disk_need({"a": b""}, 512) == (0 + 2 + 2) * 512
    assert disk_need({"a/b": b"x" * 513, "a/c": b"x"}, 512) == (3 + 2 + 2) * 512


def test_the_romfs_is_as_mpremote_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {**PACKAGE, "moat/micro/cmd/a.mpy": b"a", "moat/zz.mpy": b"", "a/b/c.mpy": b"\0" * 300}
    for name, data in files.items():
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert romfs(files) == make_romfs(str(tmp_path), mpy_cross=False)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("port", "url"),
    [
        ("/dev/ttyACM0", "/dev/ttyACM0"),
        ("serial:/dev/ttyACM0?baud=9600", "/dev/ttyACM0"),
        ("tcp:host:123", "socket://host:123"),
        ("COM3", "COM3"),
    ],
)
def test_ports_as_pyserial_calls_them(port: str, url: str) -> None:
    assert place(port) == url


def test_a_target_that_is_no_port() -> None:
    with pytest.raises(ReplError, match="use the path of a serial port"):
        place("emu:rp2")


def test_without_mpremote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_mpremote.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ReplError, match="mpremote is missing; type: pip install"):
        uninstall("/dev/null", say=print)


def test_the_package_is_bytecode_of_all_modules_and_does_not_change() -> None:
    board = load("stock")
    path = build(board)
    before = path.read_bytes()
    package = read_package(path)
    assert all(data[:2] == b"M\6" and not data[2] & ~3 for data in package.values())
    assert {"_port.mpy", "msgpack.mpy", "moat/micro/stock.mpy", "moat/micro/rt.mpy"} <= set(
        package
    )
    assert not any("viper" in name or "asyncio" in name for name in package)
    assert image_hash(path).encode() in package["_moat_image.mpy"]
    path.unlink()
    assert build(board).read_bytes() == before


def test_a_package_that_is_not_there_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    with pytest.raises(InstallError, match="is not there; run: make BOARD=stock build"):
        read_package(path)
    path.write_bytes(b"PK")
    with pytest.raises(InstallError, match=r"package\.zip: "):
        read_package(path)
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("a.mpy", b"x")
    assert read_package(path) == {"a.mpy": b"x"}
    with pytest.raises(InstallError, match="its hash is not known"):
        image_hash(path)
