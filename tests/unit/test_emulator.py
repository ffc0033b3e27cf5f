"""The emulated RP2040: the tests of its models by node, and its ptys."""

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import emulator

ROOT = Path(__file__).parents[2]
LIMIT = 30


def test_models() -> None:
    emulator.prepare()
    files = sorted((ROOT / "emulator" / "test").glob("*.test.js"))
    done = subprocess.run(
        ["node", "--test", *files], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed
    assert int(passed[1]) > len(files)


class Bridge:
    """emulator/pty.py between a link and a TCP port of the test's own."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(LIMIT)
        port = self.server.getsockname()[1]
        script = ROOT / "emulator" / "pty.py"
        self.process = subprocess.Popen(
            [sys.executable, script, f"{link}={port}"], stdin=subprocess.PIPE
        )

    def tell(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def wait_link(self, there: bool) -> None:
        for _ in range(LIMIT * 100):
            if self.link.is_symlink() == there:
                return
            select.select([], [], [], 0.01)
        raise TimeoutError

    def open(self) -> tuple[int, socket.socket]:
        """The opened pty and the connection that it made."""
        fd = os.open(self.link, os.O_RDWR | os.O_NOCTTY)
        connection = self.server.accept()[0]
        connection.settimeout(LIMIT)
        return fd, connection

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0
        self.server.close()


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path / "usb")
    with contextlib.closing(bridge):
        bridge.tell(b"+0\n")
        bridge.wait_link(True)
        yield bridge


def test_pty_carries_every_byte(bridge: Bridge) -> None:
    data = bytes(range(256))
    fd, connection = bridge.open()
    with connection:
        os.write(fd, data)
        received = b""
        while len(received) < len(data):
            received += connection.recv(4096)
        assert received == data
        connection.sendall(data)
        received = b""
        while len(received) < len(data):
            received += os.read(fd, 4096)
        assert received == data
    os.close(fd)


def test_closing_the_pty_closes_the_port_after_the_last_byte(bridge: Bridge) -> None:
    fd, connection = bridge.open()
    with connection:
        os.write(fd, b"last")
        os.close(fd)
        assert connection.recv(100) == b"last"
        assert connection.recv(100) == b""
    # The same pty serves the next one.
    fd, connection = bridge.open()
    connection.close()
    os.close(fd)


def test_closing_the_port_hangs_up_the_pty(bridge: Bridge) -> None:
    fd, connection = bridge.open()
    connection.close()
    assert select.select([fd], [], [], LIMIT)[0]
    with contextlib.suppress(OSError):  # EIO, or the end, as the kernel likes
        assert os.read(fd, 100) == b""
    os.close(fd)


def test_the_link_is_there_while_the_port_is(bridge: Bridge) -> None:
    bridge.tell(b"-0\n")
    bridge.wait_link(False)
    bridge.tell(b"+0\n")
    bridge.wait_link(True)
    fd, connection = bridge.open()
    connection.close()
    os.close(fd)
