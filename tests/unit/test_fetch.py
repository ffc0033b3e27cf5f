"""Getting MicroPython's source; without a network, with an apt-get and a git of our own."""

import hashlib
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tools import apt, fetch
from tools.common import ROOT, ToolError

VERSION = "1.25.0"
NAME = f"micropython_{VERSION}+ds.orig.tar.xz"
SOURCES = """Types: deb deb-src
# a comment
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
"""
LINES = """# deb http://commented.invalid/debian bookworm main
deb https://other.invalid/apt bookworm stable
deb [arch=amd64,arm64 signed-by=/k.gpg] http://third.invalid/raspbian/ bookworm main rpi # x
deb http://mirror.invalid/debian stable main
"""
APT = """#!/bin/sh
# Plays apt-get: $FAKE holds what the archive has.
echo "$@" >> "$FAKE/log"
case "$*" in
*update*) test ! -e "$FAKE/down" || { echo "E: no network"; exit 100; } ;;
*--print-uris*) echo "'http://mirror.invalid/x' $NAME 9 SHA256:$(cat "$FAKE/sha")" ;;
*--download-only*) cp "$FAKE/orig" "$NAME" ;;
esac
"""


def mpconfig(version: str, prerelease: int = 0) -> str:
    parts = zip(("MAJOR", "MINOR", "MICRO"), version.split("."), strict=True)
    lines = [f"#define MICROPY_VERSION_{key} {value}" for key, value in parts]
    return "\n".join([*lines, f"#define MICROPY_VERSION_PRERELEASE {prerelease}", ""])


def make_tree(tree: Path, version: str = VERSION, prerelease: int = 0) -> Path:
    (tree / "py").mkdir(parents=True)
    (tree / "py" / "mpconfig.h").write_text(mpconfig(version, prerelease))
    return tree


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Archive:
    """What the played apt-get delivers."""

    def __init__(self, folder: Path, pin: dict[str, str]) -> None:
        self.folder = folder
        self.orig, self.sha, self.log = folder / "orig", folder / "sha", folder / "log"
        tree = make_tree(folder / "tree" / f"micropython-{VERSION}")
        with tarfile.open(self.orig, "w:xz") as tar:
            tar.add(tree, tree.name)
        self.good = self.orig.read_bytes()
        self.sha.write_text(sha256(self.orig))
        pin[VERSION] = sha256(self.orig)

    def asked(self, what: str) -> int:
        return self.log.read_text().count(what) if self.log.exists() else 0


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MPY", "MPY_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPY_GIT", (tmp_path / "no.git").as_uri())
    etc = tmp_path / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    (etc / "sources.list.d" / "debian.sources").write_text(SOURCES)
    monkeypatch.setattr(apt, "ETC", etc)


def program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    folder = tmp_path / "archive"
    folder.mkdir()
    pin: dict[str, str] = {}
    monkeypatch.setattr(fetch, "_SHA256", pin)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("NAME", NAME)
    program(tmp_path / "bin", "apt-get", APT, monkeypatch)
    return Archive(folder, pin)


def leftovers(work: Path) -> list[str]:
    return [path.name for path in (work / "src").iterdir()]


def git(*args: object, cwd: Path) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *map(str, args)], cwd=cwd, check=True, capture_output=True)


def test_private_sources_replace_the_suite_in_both_formats(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    (etc / "sources.list").write_text(LINES)
    stanzas = apt.derive(etc, "trixie")
    assert stanzas[0] == (
        "Types: deb-src\nURIs: http://mirror.invalid/debian\nSuites: trixie\nComponents: main\n"
    )
    assert stanzas[1] == stanzas[0] + (
        "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )
    assert stanzas[2] == (
        "Types: deb-src\nURIs: http://third.invalid/raspbian/\nSuites: trixie\nComponents: main\n"
        "Architectures: amd64 arm64\nSigned-By: /k.gpg\n"
    )
    assert len(stanzas) == 3  # no security archive, no disabled one, none without main


def test_disabled_files_are_not_read(tmp_path: Path) -> None:
    other = tmp_path / "etc" / "sources.list.d" / "x.sources.disabled"
    other.write_text(SOURCES.replace("mirror", "disabled"))
    assert "disabled" not in "".join(apt.derive(tmp_path / "etc", "trixie"))


def test_apt_is_only_told_of_private_folders(archive: Archive, tmp_path: Path) -> None:
    fetch.source(work=tmp_path / "work")
    conf = (tmp_path / "work" / "download" / "apt" / "apt.conf").read_text()
    for key in ("Etc::SourceList", "State::Lists", "State::status", "Cache"):
        assert f'Dir::{key} "{tmp_path}/work/download/apt/' in conf
    assert 'SourceParts "/dev/null"' in conf
    assert archive.asked("apt.conf") == archive.asked("-q")  # in every call


def test_debian_source_is_unpacked_once_and_cached(archive: Archive, tmp_path: Path) -> None:
    tree = fetch.source(work=tmp_path / "work")
    assert fetch.tree_version(tree) == VERSION
    assert leftovers(tmp_path / "work") == [tree.name]
    asked = archive.log.read_text()
    assert fetch.source(work=tmp_path / "work") == tree
    tree.rename(tmp_path / "away")  # as after removing it: the download is still there
    assert fetch.source(work=tmp_path / "work") == tree
    assert archive.log.read_text() == asked


def test_damaged_cache_is_refused_and_got_again(archive: Archive, tmp_path: Path) -> None:
    download = tmp_path / "work" / "download"
    download.mkdir(parents=True)
    (download / f"micropython-{VERSION}.orig.tar.xz").write_bytes(archive.good[:-4] + b"0000")
    fetch.source(work=tmp_path / "work")
    assert archive.asked("--download-only") == 1


@pytest.mark.parametrize("signed", ["as the good one", "as it came"])
def test_damaged_download_is_refused(archive: Archive, tmp_path: Path, signed: str) -> None:
    archive.orig.write_bytes(archive.good[:-4] + b"0000")
    if signed == "as it came":
        archive.sha.write_text(sha256(archive.orig))  # then our pinned sum tells
    with pytest.raises(ToolError, match="damaged or not the known one") as err:
        fetch.source(work=tmp_path / "work")
    assert "git clone: file:" in str(err.value)  # every way is named
    assert "MPY_DIR" in str(err.value)
    assert leftovers(tmp_path / "work") == []
    archive.orig.write_bytes(archive.good)
    archive.sha.write_text(sha256(archive.orig))
    assert fetch.tree_version(fetch.source(work=tmp_path / "work")) == VERSION


def test_truncated_tarball_leaves_nothing(archive: Archive, tmp_path: Path) -> None:
    archive.orig.write_bytes(archive.good[: len(archive.good) // 2])
    archive.sha.write_text(sha256(archive.orig))
    fetch._SHA256.clear()  # a version that is not pinned
    with pytest.raises(ToolError, match=r"EOFError|ReadError"):
        fetch.source(work=tmp_path / "work")
    assert leftovers(tmp_path / "work") == []


def test_other_version_in_the_suite_is_an_error(archive: Archive, tmp_path: Path) -> None:
    del archive
    with pytest.raises(ToolError, match=rf"it has {NAME.replace('+', '.')}, not 1\.26\.1"):
        fetch.source("1.26.1", work=tmp_path / "work")


def test_without_network_all_ways_are_named(archive: Archive, tmp_path: Path) -> None:
    (archive.folder / "down").touch()
    with pytest.raises(ToolError) as err:
        fetch.source(work=tmp_path / "work")
    assert "suite trixie: apt-get update --error-on=any: E: no network" in str(err.value)
    assert str(tmp_path / "no.git") in str(err.value)


def test_git_gets_the_tag_when_debian_has_none(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (archive.folder / "down").touch()
    tree = make_tree(tmp_path / "upstream", "1.27.0")
    git("init", "-q", cwd=tree)
    git("add", ".", cwd=tree)
    git("commit", "-q", "-m", "x", cwd=tree)
    git("tag", "v1.27.0", cwd=tree)
    git("clone", "-q", "--bare", tree, tmp_path / "bare.git", cwd=tmp_path)
    monkeypatch.setenv("MPY_GIT", (tmp_path / "bare.git").as_uri())
    monkeypatch.setenv("MPY", "1.27.0")
    got = fetch.source(work=tmp_path / "work")
    assert fetch.tree_version(got) == "1.27.0"
    with pytest.raises(ToolError, match=r"Remote branch v1\.27\.1 not found"):
        fetch.source("1.27.1", work=tmp_path / "work")


def test_a_killed_clone_is_started_anew(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git that was killed half way through, with all that ran it, leaves no tree."""
    (archive.folder / "down").touch()
    os.mkfifo(tmp_path / "half")
    script = f'#!/bin/sh\nfor last; do :; done\nmkdir -p "$last/py"\necho x > {tmp_path}/half\n'
    program(tmp_path / "bin", "git", script + f"read x < {tmp_path}/half", monkeypatch)
    code = f"from tools import apt, fetch; from pathlib import Path; fetch.source(work=Path(r'{tmp_path}/work'))"  # noqa: E501
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    assert (tmp_path / "half").read_text() == "x\n"
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert leftovers(tmp_path / "work") == [f".new-micropython-{VERSION}"]
    (archive.folder / "down").unlink()
    fetch.source(work=tmp_path / "work")
    assert leftovers(tmp_path / "work") == [f"micropython-{VERSION}"]


@pytest.mark.parametrize(
    ("version", "prerelease", "good"),
    [("1.25.0", 0, True), ("1.28.0", 1, True), ("1.24.1", 0, False), ("1.25.0", 1, False)],
)
def test_given_tree_must_be_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, prerelease: int, *, good: bool
) -> None:
    tree = make_tree(tmp_path / "given", version, prerelease)
    monkeypatch.setenv("MPY_DIR", str(tree))
    if good:
        assert fetch.source() == tree
    else:
        with pytest.raises(ToolError, match=r"MPY_DIR=.* is MicroPython 1\.2.*: 1\.25\.0 or new"):
            fetch.source()


def test_given_folder_must_be_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPY_DIR", str(tmp_path))
    with pytest.raises(ToolError, match=r"MPY_DIR=.* is not a MicroPython source tree"):
        fetch.source()


@pytest.mark.parametrize("version", ["1.24.1", "master", "1.25"])
def test_version_must_be_one(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("MPY", version)
    with pytest.raises(ToolError, match=r"too old|not a version"):
        fetch.wanted()
