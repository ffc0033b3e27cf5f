"""Our package on MicroPython that is not ours: an image for QEMU without our modules."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

from moat.micro import rt
from moat.micro.boards import load, parse
from moat.micro.cli.main import main
from moat.micro.device import Device, connect, reset
from moat.micro.errors import LinkLost
from moat.micro.flash import by_mpremote, stock
from moat.micro.flash._stock import State
from moat.micro.flash.by_mpremote import Repl, ReplError, open_repl, restart
from moat.micro.program import run_program
from tools.build import build

pytestmark = pytest.mark.slow  # each copies 140 KB to the board

BOARD = Path(__file__).parents[1] / "boards" / "qemu-arm-stock" / "board.toml"

USER_MAIN = """
print("the user's program runs")
async def main():
    from moat.micro import rt
    while True:
        await rt.sleep_ms(1000)
"""
APP = """
from moat.micro.cmd.tree import BaseCmd
class App(BaseCmd):
    async def cmd_block(self):
        while True:
            pass
    async def stream_count(self, out, n):
        for i in range(n):
            print("count", i)
            await out.send(bytes([i]) * 200)
        return n
"""


@dataclass
class Board:
    """The board, at a pseudo terminal."""

    port: str

    def command(self, *args: str) -> tuple[int, str]:
        """Run moat-sat; returns its exit status and what it prints."""
        done = CliRunner().invoke(main, ["-d", self.port, *args])
        return done.exit_code, done.output

    def install(self, *args: str) -> str:
        """Install the package."""
        status, text = self.command("install", *args)
        assert status == 0, text
        return text

    def write(self, name: str, text: str) -> None:
        """Write a file; what runs then is the REPL."""
        with open_repl(self.port) as repl:
            repl.fs_writefile(name, text.encode())

    def state(self) -> State:
        """Measure it, in the REPL."""
        with open_repl(self.port) as repl:
            return stock.measure(repl)


@pytest.fixture(scope="session")
def package() -> dict[str, bytes]:
    return stock.read_package(build(load("stock")))


@pytest.fixture(scope="session")
def command() -> list[str]:
    board = parse(BOARD)
    build(board)
    return board.command("pty")


@contextmanager
def at_pty(command: list[str]) -> Generator[str]:
    """Start QEMU; gives the pseudo terminal."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = re.search(r"/dev/pts/\d+", process.stdout.readline())
        assert found
        try:
            yield found[0]
        finally:
            process.kill()


@pytest.fixture
def board(command: list[str], package: dict[str, bytes]) -> Iterator[Board]:
    """A board with blank disk and ROMFS partition."""
    del package
    with at_pty(command) as port:
        yield Board(port)


def put(repl: Repl, name: str, text: str) -> None:
    """Write a file, and its folder."""
    folder = name.rpartition("/")[0]
    if folder:
        repl.exec(f"import os\ntry:\n os.mkdir({folder!r})\nexcept OSError:\n pass")
    repl.fs_writefile(name, text.encode())


async def talk(dev: Device) -> None:
    """Calls and a stream."""
    assert await dev.call(["sys", "eval"], "6 * 7") == 42  # what it takes is not imported yet
    assert await dev.sys.ping(m=b"\3\xc1" * 500) == b"\3\xc1" * 500
    async with dev.app.count(30) as values:
        assert [value async for value in values] == [bytes([i]) * 200 for i in range(30)]
        assert values.result == 30


async def session(port: str, said: list[str], stack: Mapping[str, object] | None = None) -> None:
    async with connect(port, console=said.append, timeout=20, stack=stack) as dev:
        await talk(dev)
        await reset(dev)
        await talk(dev)


@pytest.mark.parametrize("way", ["romfs", "files"])
def test_a_host_talks_to_it(board: Board, way: str) -> None:
    with open_repl(board.port) as repl:
        put(repl, "app/app.py", APP)
        put(repl, "user_main.py", USER_MAIN)
    text = board.install("--way", way)
    assert re.search(r"image [0-9a-f]{16} runs, with [0-9,]+ bytes of heap free", text)
    said = list[str]()
    rt.run(partial(session, board.port, said))
    text = "".join(said)
    assert all(f"count {i}" in text for i in range(30))
    assert "the user's program runs" in text  # after the reset


LOSSY = {"framing": "serialpacker", "reliable": True}
USER_LOSSY = f"""
import moat.micro
moat.micro.start(stack={LOSSY!r})
"""


def test_with_the_stack_for_a_line_that_loses_bytes(board: Board) -> None:
    with open_repl(board.port) as repl:
        put(repl, "app/app.py", APP)
        put(repl, "user_main.py", USER_LOSSY)
    status, text = board.command("--stack", json.dumps(LOSSY), "install")
    assert status == 0, text
    rt.run(partial(session, board.port, [], LOSSY))


TIMER = """
import sys
class machine:
    class Timer:
        def __init__(self, *args, **kw):
            if len(args) != {args}:
                raise {error}
            print(args, kw["period"])
sys.modules["machine"] = machine
from moat.micro.guard import _start_timer
_start_timer(print)
"""


@pytest.mark.parametrize(
    ("args", "error", "said"), [(0, "OSError", "() 1000"), (1, "ValueError", "(0,) 1000")]
)
async def test_the_guard_takes_the_timer_that_the_board_has(
    args: int, error: str, said: str
) -> None:
    """On an ESP32 a timer has a number; this is the unix image."""
    text = list[str]()
    async with connect("emu:unix", console=text.append) as dev:
        await run_program(dev, TIMER.format(args=args, error=error))
    assert said in "".join(text)


def test_our_own_image_needs_no_package() -> None:
    own = load("qemu-arm")
    if not own.image_path.exists():
        pytest.skip("run: make BOARD=qemu-arm build")
    with at_pty(own.command("pty")) as port:
        status, text = Board(port).command("install")
    assert (status, text.splitlines()[-1]) == (
        1, "moat-sat: the board runs an image of moat-satellite: it needs no package",
    )  # fmt: skip


def test_a_ctrl_c_gives_the_repl_even_if_the_loop_is_blocked(board: Board) -> None:
    with open_repl(board.port) as repl:
        put(repl, "app/app.py", APP)
    board.install()
    assert board.state().main  # in no session

    async def block() -> None:
        async with connect(board.port, timeout=20) as dev:
            with pytest.raises(TimeoutError), anyio.fail_after(7):
                await dev.app.block()
            raise LinkLost("it does not take a good-bye")

    with open_repl(board.port) as repl:
        restart(repl)
    with pytest.raises(LinkLost):
        rt.run(block)
    assert board.state().main


def test_installing_again_and_removing_it_leaves_no_trace(board: Board) -> None:
    before = board.state()
    board.install()
    board.install("--way", "files")
    after = board.state()
    assert (after.has_files, after.rom_files) == (True, ())
    board.install()
    after = board.state()
    assert (after.has_files, after.rom_is_ours) == (False, True)
    status, text = board.command("uninstall")
    assert (status, text) == (0, "moat-satellite is removed\n")
    after = board.state()
    assert (after.main, after.has_files, after.rom_files) == ("", False, ())
    assert after.disk >= before.disk - 4 * before.block  # folders
    status, text = board.command("uninstall")
    assert (status, text) == (1, "moat-sat: moat-satellite is not installed on this board\n")


def test_the_users_main_is_not_overwritten(board: Board) -> None:
    board.write("main.py", "# Mine.\n" + USER_MAIN)
    status, text = board.command("install")
    assert status == 1
    assert "main.py: FORCE=1 renames it to user_main.py, which the stack runs" in text
    assert board.state().main.startswith("# Mine.")
    assert "main.py is user_main.py now" in board.install("--force")
    assert board.state().has_user_main
    assert board.command("uninstall")[0] == 0
    state = board.state()
    assert (state.main[:7], state.has_user_main) == ("# Mine.", False)


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (100_000, r"[0-9,]+ bytes of heap are free, 120,000 are needed for \.mpy files \(80,000"),
        (60_000, r"[0-9,]+ bytes of heap are free, 120,000 are needed for \.mpy files$"),
    ],
)
def test_too_little_heap_is_refused_with_the_figure(board: Board, left: int, why: str) -> None:
    taken = board.state().heap - left
    board.write("boot.py", f"taken = bytearray({taken})\n")
    before = board.state()
    status, text = board.command("install", "--way", "files")
    assert status == 1
    assert re.search(why, text.rstrip())
    assert board.state() == before  # nothing was written


def test_a_port_without_micropython_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(ReplError, match="/no/such: there is no such port"),
        open_repl("/no/such"),
    ):
        pass
    monkeypatch.setattr(by_mpremote, "_ENTER_S", 0.1)
    monkeypatch.setattr(by_mpremote, "_READ_S", 0.1)
    ours, theirs = pty.openpty()
    try:
        status, text = Board(os.ttyname(theirs)).command("install")
    finally:
        os.close(ours)
        os.close(theirs)
    assert status == 1
    assert text.endswith("no answer to Ctrl-C: is MicroPython on the board, and this its REPL?\n")
