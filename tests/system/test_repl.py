"""The REPL on the console port, as the real mpremote uses it, and the stack again behind it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest

from moat.micro.boards import load
from moat.micro.device import connect
from moat.micro.net.serial import SerialLink
from moat.micro.program import run_program
from moat.micro.testing.console import Console

BUSY = """
print("busy")
while True:
    pass
"""

APP = """
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    async def cmd_two(self):
        return 2
"""

# A host that does something, then is killed.
HOST = """
import os, signal, sys
import anyio
from moat.micro.device import connect
from moat.micro.net.serial import SerialLink
from moat.micro.program import run_program
from moat.micro.testing.console import Console

async def busy(dev, console, tasks):
    tasks.start_soon(run_program, dev, '''BUSY''')
    await console.expect("busy")

async def half(link):
    await link.wr(b"\\xc1\\x94\\x01\\x03\\x92\\xa3sys\\xa4ping\\xc4\\x40" + b"\\x03" * 20)

async def main():
    link, console = SerialLink(sys.argv[1]), Console()
    async with connect(link, console=console) as dev, anyio.create_task_group() as tasks:
        assert await dev.sys.ping(1) == 1
        LAST
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
""".replace("BUSY", BUSY)

LAST = {
    "in a message": "await half(link)",
    "between messages": "pass",
    "while the device is blocked": "await busy(dev, console, tasks)",
    "in a message to a blocked device": "await busy(dev, console, tasks); await half(link)",
}


@pytest.fixture
def board() -> str:
    """One is enough for most tests."""
    return "qemu-arm"


@pytest.fixture
def pty(board: str) -> Iterator[str]:
    """The pseudo terminal of an emulated board that has just been switched on."""
    command = load(board).command("pty")
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as qemu:
        assert qemu.stdout
        match = re.search(r"redirected to (\S+)", qemu.stdout.readline())
        assert match
        try:
            yield match[1]
        finally:
            qemu.terminate()


async def mpremote(pty: str, *args: str) -> str:
    """Run mpremote, the way a user does; returns what it prints."""
    command = [sys.executable, "-m", "mpremote", "connect", pty, *args]
    with anyio.fail_after(60):
        done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode().strip()


async def starts_again(pty: str) -> None:
    """A soft reset at the normal REPL starts the stack."""
    link = SerialLink(pty)
    async with link:
        await link.wr(b"\x02\x04")
    await answers(pty)


async def answers(pty: str) -> None:
    """The stack runs."""
    async with connect(SerialLink(pty), timeout=30) as dev:
        assert await dev.sys.ping(b"\x03" * 50) == b"\x03" * 50


async def test_mpremote_works_before_any_host_has_come(pty: str):
    assert await mpremote(pty, "exec", "print(1+1)") == "2"
    await starts_again(pty)


@pytest.mark.parametrize("board", ["qemu-arm", "qemu-rv32"])
async def test_mpremote_and_the_stack_take_turns(pty: str):
    for _ in range(2):
        await answers(pty)
        assert await mpremote(pty, "exec", "print(1+1)") == "2"
        await starts_again(pty)


async def test_the_stack_starts_from_mpremote(pty: str):
    start = "from moat.micro.startup import start; start()"
    await mpremote(pty, "exec", "--no-follow", start)
    await answers(pty)


async def test_mpremote_copies_files(pty: str, tmp_path: Path):
    await answers(pty)
    source = tmp_path / "app.py"
    source.write_text(APP)
    await mpremote(pty, "fs", "mkdir", ":/app", "+", "fs", "cp", str(source), ":/app/new.py")
    await starts_again(pty)
    async with connect(SerialLink(pty), timeout=30) as dev:
        assert await dev.new.two() == 2


async def test_mpremote_gets_in_when_the_loop_is_blocked(pty: str):
    console = Console()
    async with (
        connect(SerialLink(pty), console=console, timeout=30) as dev,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run_program, dev, BUSY)
        await console.expect("busy")
        tasks.cancel_scope.cancel()  # it cannot be cancelled there, but we leave
    assert await mpremote(pty, "exec", "print(1+1)") == "2"
    await starts_again(pty)


async def host_is_killed(pty: str, last: str) -> None:
    """A host does its last thing, and is gone."""
    source = HOST.replace("LAST", LAST[last])
    done = await anyio.run_process([sys.executable, "-c", source, pty], check=False)
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("last", LAST)
async def test_mpremote_gets_in_when_the_host_was_killed(pty: str, last: str):
    await host_is_killed(pty, last)
    assert await mpremote(pty, "exec", "print(1+1)") == "2"
    await starts_again(pty)


async def test_the_next_host_gets_in_when_one_was_killed(pty: str):
    await host_is_killed(pty, "in a message")
    await answers(pty)
