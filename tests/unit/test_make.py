"""The front door: what make says, and that it does nothing twice."""

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moat.micro.boards import all_boards, load
from tools import build, setup, size, terminal
from tools.common import ROOT, ToolError, build_dir

MAKEFILE = (ROOT / "Makefile").read_text()


def environment(**changes: str) -> dict[str, str]:
    """Ours, without what a make around this test would hand on to the one it starts."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return env | changes


def make(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *args], cwd=ROOT, env=environment(**changes), capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def bin_with(folder: Path, *names: str) -> str:
    """A PATH that has only these programs."""
    folder.mkdir()
    for name in names:
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True)
        (folder / name).symlink_to(found.stdout.strip())
    return str(folder)


def test_help_is_the_default_and_lists_every_target() -> None:
    done = make()
    assert done.returncode == 0
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    listed = re.findall(r"^  ([\w-]+) +\S", done.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())
    assert make("help").stdout == done.stdout
    for board in all_boards():
        assert board.name in done.stdout


@pytest.mark.parametrize("goal", ["build", "run", "shell", "size"])
def test_unknown_board_is_one_line(goal: str) -> None:
    done = make("BOARD=nonesuch", goal)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    names = ", ".join(board.name for board in all_boards())
    assert line == f"error: unknown board 'nonesuch'; there are: {names}"


@pytest.mark.parametrize(
    ("board", "tool", "package"),
    [
        ("qemu-arm", "arm-none-eabi-gcc", "libnewlib-arm-none-eabi"),
        ("qemu-rv32", "qemu-system-riscv32", "qemu-system-misc"),
        ("rp2", "cmake", "cmake"),
        ("unix", "gcc", "libc6-dev"),
    ],
)
def test_missing_toolchain_is_one_line(
    tmp_path: Path, board: str, tool: str, package: str
) -> None:
    path = bin_with(tmp_path / "bin", "make", "sh")
    done = make(f"BOARD={board}", "build", PATH=path, PYTHON=sys.executable)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert line.startswith(f"error: board {board} needs ")
    assert tool in line
    assert re.search(rf"apt-get install .*\b{package}\b", line)


def test_apt_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOAT_NO_APT", "1")
    need = setup.Need("no-such-program", "a b")
    with pytest.raises(ToolError, match=r"x needs no-such-program; .*: apt-get install a b$"):
        setup.ensure([need], "x")


def test_a_compiler_without_its_library_is_a_missing_need() -> None:
    assert setup.has(setup.Need("gcc", "", "crt1.o"))
    assert not setup.has(setup.Need("gcc", "", "no-such-file.o"))


PLAYED_APT = """#!/bin/sh
echo "$@" >> "$FAKE/log"
case "$*" in
*update*) touch "$FAKE/lists" ;;
*install*) test -e "$FAKE/lists" || { echo "E: Unable to locate package"; exit 100; }
    test ! -e "$FAKE/broken" || { echo "E: no space"; exit 100; }
    cp /bin/true "$FAKE/bin/new-tool" ;;
esac
"""


@pytest.fixture
def played_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get that installs a program, after an update."""
    monkeypatch.delenv("MOAT_NO_APT", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name, text in (("apt-get", PLAYED_APT), ("sudo", '#!/bin/sh\nshift; exec "$@"\n')):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def test_missing_packages_are_installed_after_one_update(played_apt: Path) -> None:
    needs = [setup.Need("new-tool", "new-tool its-lib"), setup.Need("sh", "dash")]
    setup.ensure(needs, "x")
    log = (played_apt / "log").read_text().splitlines()
    assert [("update" in line, "install new-tool its-lib" in line) for line in log] == [
        (False, True), (True, False), (False, True),
    ]  # fmt: skip
    assert "dash" not in "".join(log)
    setup.ensure(needs, "x")
    assert (played_apt / "log").read_text().splitlines() == log


def test_apts_complaint_is_passed_on(played_apt: Path) -> None:
    (played_apt / "broken").touch()
    with pytest.raises(ToolError, match=r"apt-get install a failed: E: no space"):
        setup.ensure([setup.Need("new-tool", "a")], "x")


def test_second_build_does_nothing() -> None:
    assert make("BOARD=unix", "build").returncode == 0
    out = build_dir() / "unix"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    done = make("BOARD=unix", "build")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_builds_of_one_board_wait_for_each_other() -> None:
    assert make("BOARD=unix", "build").returncode == 0
    with (build_dir() / ".unix.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = subprocess.Popen(
            ["make", "BOARD=unix", "build"], cwd=ROOT, env=environment(), text=True,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert other.stderr
        assert "waiting for another process" in other.stderr.readline()
        assert other.poll() is None
    assert other.communicate()[1] == ""
    assert other.returncode == 0


class Project:
    """A copy of what an image is made from, to change it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build, "ROOT", folder)
        self.board = load("unix")
        self.out = folder / "out"
        self.file = folder / "firmware" / "portable" / "a.py"
        self.file.parent.mkdir(parents=True)
        self.file.touch()
        (folder / "manifest.py").touch()
        (self.out / "frozen_mpy").mkdir(parents=True)
        self.content = self.out / "frozen_content.c"
        self.content.touch()
        self.state().save()

    def state(self) -> build._State:
        return build._State(self.board, Path("source"), self.out)

    def kept(self) -> tuple[bool, bool, bool]:
        """Whether the build folder, compiled modules and their C file survive."""
        self.state().drop_stale()
        return self.out.exists(), (self.out / "frozen_mpy").exists(), self.content.exists()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("MPY_DIR", raising=False)
    return Project(tmp_path, monkeypatch)


def test_an_edited_file_keeps_the_rest(project: Project) -> None:
    os.utime(project.file, (1, 1))
    assert not project.state().is_current()
    assert project.kept() == (True, True, True)


def test_a_removed_file_leaves_the_image(project: Project) -> None:
    project.file.unlink()
    assert project.kept() == (True, True, False)


def test_a_changed_manifest_compiles_all_modules_again(project: Project) -> None:
    (project.out.parent / "manifest.py").write_text("# other level")
    assert project.kept() == (True, False, True)


def test_another_source_starts_from_nothing(project: Project) -> None:
    build._State(project.board, Path("other source"), project.out).drop_stale()
    assert not project.out.exists()


def test_broken_build_shows_the_compilers_error(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("CC a.c\n" * 50 + "a.c:1:2: error: expected ';'\nmake: *** [a.o] Error 1\n")
    tail = build._tail(log)
    assert "expected ';'" in tail
    assert str(log) in tail
    assert len(tail.splitlines()) < 25


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_size_reads_the_image(board: build.Board) -> None:
    if not (board.image_path.is_file() and board.needs and setup.has(board.needs[0])):
        pytest.skip(f"run: make BOARD={board.name} build")
    found = size.sections(board, board.elf_path)
    assert sorted(found) == ["bss", "data", "text"]
    assert found["text"] > 100_000
    assert 50_000 < size.frozen(board) < found["text"]
    if board.run is None:
        assert size.heap_size(board) > 200_000
        return
    assert 0 < size.heap_with_stack(board) < size.heap_free(board)


def test_shell_carries_out_its_input() -> None:
    program = "def f(x):\n    return x + 1\n\nfor i in 1, 2:\n    print(f(i))\n"
    done = subprocess.run(
        ["make", "BOARD=unix", "shell"], cwd=ROOT, env=environment(), capture_output=True,
        text=True, check=False, input=program,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "3"]


@pytest.mark.parametrize(
    "board", [b for b in all_boards() if b.flash == "run"], ids=lambda board: board.name
)
def test_shell_on_a_terminal(board: build.Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    if not board.image_path.is_file():
        pytest.skip(f"run: make BOARD={board.name} build")
    command = [sys.executable, "-m", "tools.terminal", "shell", board.name]
    console = terminal.Console(board, command)
    try:
        assert b"Ctrl-] leaves" in console.until(b">>> ", timeout_s=60)
        console.write(b"print(20 + 3)\r")
        assert b"23" in console.until(b">>> ", timeout_s=60)
        console.write(b"\x1d")
        assert console.process.wait(timeout=60) == 0
    finally:
        console.close()


def test_a_board_that_cannot_run_here_is_one_line() -> None:
    if not load("rp2350").image_path.is_file():
        pytest.skip("run: make BOARD=rp2350 build")
    done = make("BOARD=rp2350", "run")
    assert done.returncode != 0
    *_, line = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert line == "error: rp2350: this machine cannot run its image"


def test_clean_keeps_downloads_and_distclean_nothing(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    for name in ("download", "src", "venv", "unix", "mpy-1.26.1", ".unix.lock"):
        (tmp_path / "build" / name).mkdir(parents=True)
    env = environment()
    subprocess.run(["make", "clean"], cwd=tmp_path, env=env, check=True)
    assert sorted(p.name for p in (tmp_path / "build").iterdir()) == ["download", "src", "venv"]
    subprocess.run(["make", "distclean"], cwd=tmp_path, env=env, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
    subprocess.run(["make", "clean"], cwd=tmp_path, env=env, check=True)
