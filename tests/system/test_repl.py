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
from moat.micro.device import Device, connect
from moat.micro.net.serial import SerialLink
from moat.micro.program import run_program

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

# A host that dies when half of its message is on the line.
DIES = """
import os, signal, sys
import anyio
from moat.micro.device import connect
from moat.micro.net.serial import SerialLink

async def main():
    link = SerialLink(sys.argv[1])
    async with connect(link) as dev:
        assert await dev.sys.ping(1) == 1
        await link.wr(b"\\xc1\\x94\\x01\\x03\\x92\\xa3sys\\xa4ping\\xc4\\x40" + b"\\x03" * 20)
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
"""

# One that goes without a word, between two messages.
GOES = "\n".join(line for line in DIES.splitlines() if "link.wr" not in line)


@pytest.fixture
def pty() -> Iterator[str]:
    """The pseudo terminal of a Cortex-M3 that has just been switched on."""
    command = load("qemu-arm").command("pty")
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
    with anyio.fail_after(60):
        async with connect(SerialLink(pty), timeout=30) as dev, anyio.create_task_group() as tasks:
            tasks.start_soon(_never_ends, dev)
            # The program is there when the stack no longer answers.
            with anyio.move_on_after(1) as blocked:
                while True:
                    await dev.sys.ping()
            assert blocked.cancelled_caught
            tasks.cancel_scope.cancel()
    assert await mpremote(pty, "exec", "print(1+1)") == "2"
    await starts_again(pty)


async def _never_ends(dev: Device) -> None:
    await run_program(dev, BUSY)


@pytest.mark.parametrize("last", [DIES, GOES], ids=["in a message", "between messages"])
async def test_mpremote_gets_in_when_the_host_was_killed(pty: str, last: str):
    done = await anyio.run_process([sys.executable, "-c", last, pty], check=False)
    assert done.returncode == -9, done.stderr
    assert await mpremote(pty, "exec", "print(1+1)") == "2"
    await starts_again(pty)


async def test_the_next_host_gets_in_when_one_was_killed(pty: str):
    done = await anyio.run_process([sys.executable, "-c", DIES, pty], check=False)
    assert done.returncode == -9, done.stderr
    await answers(pty)
