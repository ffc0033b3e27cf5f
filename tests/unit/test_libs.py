"""The libraries that MicroPython's source package lacks; with an apt-get of our own."""

import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from moat.micro.boards import load
from tools import apt, libs
from tools.common import ToolError

VERSION = "1.0+dfsg-1"
SOURCES = "deb http://mirror.invalid/debian bookworm main\n"
APT = """#!/bin/sh
# Plays apt-get: $FAKE holds what the archive has.
echo "$@" >> "$FAKE/log"
case "$*" in
*update*) test ! -e "$FAKE/down" || { echo "E: no network"; exit 100; } ;;
*--print-uris*) echo "'http://mirror.invalid/x' $NAME 9 SHA256:$(cat "$FAKE/sha")" ;;
*download*) cp "$FAKE/deb" "$NAME" ;;
esac
"""
BOARD = replace(load("rp2"), libs=("a-lib",))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package(folder: Path) -> Path:
    """A Debian package that holds one file."""
    (folder / "a" / "DEBIAN").mkdir(parents=True)
    (folder / "a" / "DEBIAN" / "control").write_text(
        f"Package: a-source\nVersion: {VERSION}\nArchitecture: all\n"
        "Maintainer: x\nDescription: x\n"
    )
    (folder / "a" / "usr" / "src" / "a").mkdir(parents=True)
    (folder / "a" / "usr" / "src" / "a" / "a.c").write_text("int a;\n")
    deb = folder / "deb"
    subprocess.run(["dpkg-deb", "-b", folder / "a", deb], check=True, capture_output=True)
    return deb


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the played apt-get delivers: a folder with the files deb and sha."""
    folder = tmp_path / "archive"
    folder.mkdir()
    deb = package(folder)
    (folder / "sha").write_text(sha256(deb))
    pinned = libs.Package("a-source", VERSION, sha256(deb), "usr/src/a")
    monkeypatch.setattr(libs, "_PACKAGES", {"a-lib": pinned})
    (tmp_path / "etc" / "sources.list.d").mkdir(parents=True)
    (tmp_path / "etc" / "sources.list").write_text(SOURCES)
    monkeypatch.setattr(apt, "ETC", tmp_path / "etc")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apt-get").write_text(APT)
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("NAME", f"a-source_{VERSION}_all.deb")
    monkeypatch.delenv("MPY_DIR", raising=False)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source of MicroPython as its package has it: the library's folder is empty."""
    folder = tmp_path / "work" / "src" / "micropython-1.25.0"
    (folder / "lib" / "a-lib").mkdir(parents=True)
    return folder


def test_a_library_is_linked_into_the_source_once(
    archive: Path, source: Path, tmp_path: Path
) -> None:
    libs.ensure(BOARD, source, tmp_path / "work")
    assert (source / "lib" / "a-lib" / "a.c").read_text() == "int a;\n"
    assert (source / "lib" / "a-lib").is_symlink()
    asked = (archive / "log").read_text()
    libs.ensure(BOARD, source, tmp_path / "work")
    assert (archive / "log").read_text() == asked
    stanza = (tmp_path / "work" / "download" / "apt" / "private.sources").read_text()
    assert stanza.startswith("Types: deb\n")


def test_the_download_is_kept(archive: Path, source: Path, tmp_path: Path) -> None:
    libs.ensure(BOARD, source, tmp_path / "work")
    asked = (archive / "log").read_text()
    subprocess.run(["rm", "-r", *(tmp_path / "work" / "src").glob("a-lib*")], check=True)
    libs.ensure(BOARD, source, tmp_path / "work")  # the link led to nowhere
    assert (source / "lib" / "a-lib" / "a.c").exists()
    assert (archive / "log").read_text() == asked


def test_another_version_replaces_the_link(
    archive: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libs.ensure(BOARD, source, tmp_path / "work")
    before = libs.versions(BOARD)
    other = replace(libs._PACKAGES["a-lib"], version="2.0-1")
    monkeypatch.setattr(libs, "_PACKAGES", {"a-lib": other})
    monkeypatch.setenv("NAME", "a-source_2.0-1_all.deb")
    libs.ensure(BOARD, source, tmp_path / "work")
    assert (source / "lib" / "a-lib").readlink().name == "a-lib-2.0-1"
    assert (before, libs.versions(BOARD)) == (f"a-source {VERSION}", "a-source 2.0-1")
    assert (archive / "log").read_text().count("update") == 2


@pytest.mark.parametrize("signed", ["as it is", "0" * 64])
def test_a_package_that_is_not_the_known_one_is_refused(
    archive: Path, source: Path, tmp_path: Path, signed: str
) -> None:
    with (archive / "deb").open("ab") as file:
        file.write(b"\n")
    (archive / "sha").write_text(sha256(archive / "deb") if signed == "as it is" else signed)
    with pytest.raises(ToolError, match="is damaged or not the known one; removed"):
        libs.ensure(BOARD, source, tmp_path / "work")
    assert not any((source / "lib" / "a-lib").iterdir())


def test_another_version_in_the_suite_is_an_error(
    archive: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del archive
    monkeypatch.setenv("NAME", "a-source_1.1-1_all.deb")
    with pytest.raises(ToolError, match=r"cannot get a-source .*: it has a-source_1\.1-1_all"):
        libs.ensure(BOARD, source, tmp_path / "work")


def test_without_a_network_it_says_so(archive: Path, source: Path, tmp_path: Path) -> None:
    (archive / "down").touch()
    with pytest.raises(ToolError, match=r"cannot get a-source .*suite trixie: .*E: no network"):
        libs.ensure(BOARD, source, tmp_path / "work")


def test_a_given_source_is_only_looked_at(
    archive: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPY_DIR", str(source))
    with pytest.raises(ToolError, match=r"MPY_DIR has no lib/a-lib; type: git -C .* lib/a-lib$"):
        libs.ensure(BOARD, source, tmp_path / "work")
    (source / "lib" / "a-lib" / "b.c").touch()
    libs.ensure(BOARD, source, tmp_path / "work")
    assert not (archive / "log").exists()


@pytest.mark.parametrize("name", ["rp2-w", "rp2350-w"])
def test_a_board_whose_library_no_package_has_is_one_line(
    name: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MPY_DIR", raising=False)
    message = rf"^board {name}: .*cyw43-driver.* MPY_DIR=…$"
    with pytest.raises(ToolError, match=message) as err:
        libs.ensure(load(name), source)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("name", ["rp2", "rp2350", "qemu-arm"])
def test_the_others_have_all_they_need(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPY_DIR", raising=False)
    assert libs.unknown(load(name)) == []
