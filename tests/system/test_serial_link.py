"""Link apps on the unix image over a serial line, which is a pseudo terminal."""

from __future__ import annotations

import os
import pty
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgpack import packb

from moat.micro.device import Device, connect
from moat.micro.errors import CallNotRunError, NotReadyError
from moat.micro.net.serial import SerialLink
from tests.system.support import link_in

FRAMED = {"framing": "serialpacker"}
QUICK = {"base_ms": 10, "max_ms": 50}


class Line:
    """A serial line: both ends are ports, what is written at one is read at the other."""

    def __init__(self) -> None:
        self.masters = [pty.openpty() for _ in range(2)]
        for master, slave in self.masters:
            os.set_blocking(master, False)
            tty.setraw(slave)
        self.ports = [os.ttyname(slave) for _, slave in self.masters]

    async def carry(self) -> None:
        """Carry bytes both ways; to be cancelled."""
        one, two = (fds[0] for fds in self.masters)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_copy, one, two)
            tasks.start_soon(_copy, two, one)

    def close(self) -> None:
        """Unplug it."""
        for fds in self.masters:
            for fd in fds:
                os.close(fd)
        self.masters = []


async def _copy(source: int, to: int) -> None:
    while True:
        await anyio.wait_readable(source)
        data = os.read(source, 1000)
        while data:
            await anyio.wait_writable(to)
            data = data[os.write(to, data) :]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """A line that carries."""
    line = Line()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.carry)
            yield line
            tasks.cancel_scope.cancel()
    finally:
        line.close()


@asynccontextmanager
async def device(folder: Path, port: str, **settings: Any) -> AsyncIterator[Device]:
    """Start an image with a link at this port."""
    link = {"kind": "serial", "port": port, "baudrate": 115200}
    cfg = {
        "apps": {"far": "moat.micro.app.link:ClientLink"},
        "far": {"link": link, "reconnect": QUICK, **FRAMED, **settings},
    }
    await anyio.Path(folder).mkdir()
    await anyio.Path(folder, "moat.cfg").write_bytes(packb(cfg))
    async with connect(link_in("unix", folder), timeout=30) as dev:
        yield dev


async def test_two_devices_call_each_other(tmp_path: Path, line: Line):
    one, two = line.ports
    async with device(tmp_path / "one", one) as near, device(tmp_path / "two", two) as far:
        await near.far.rdy_(wait=True)
        data = bytes(range(256)) * 10
        assert await near.far.sys.ping(data) == data
        assert await far.far.sys.ping([1, "x"]) == [1, "x"]


async def test_a_host_calls_a_device_at_its_serial_port(tmp_path: Path, line: Line):
    one, two = line.ports
    async with device(tmp_path / "one", one, reliable={}):
        stack = {**FRAMED, "reliable": {}}
        async with connect(SerialLink(two), stack=stack, timeout=30) as dev:
            assert (await dev.sys.info())["platform"] == "linux"
            data = bytes(3000)
            assert await dev.sys.ping(data) == data


async def test_while_the_line_is_full_the_device_goes_on(tmp_path: Path):
    """Nobody reads at the other end."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    cfg = {
        "apps": {"line": "moat.micro.app.port:PortCmd"},
        "line": {"carries": "bytes", "link": {"kind": "serial", "port": os.ttyname(slave)}},
    }
    (tmp_path / "moat.cfg").write_bytes(packb(cfg))
    total = 0
    async with connect(link_in("unix", tmp_path), timeout=30) as dev:
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                nonlocal total
                while True:
                    await dev.line.wr(bytes(1000))
                    total += 1000

            tasks.start_soon(write)
            before = -1
            while total != before:
                before = total
                for _ in range(20):
                    await dev.sys.ping()
            tasks.cancel_scope.cancel()
        assert total > 0
        os.write(master, b"and back")
        assert await dev.line.rd() == b"and back"
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("port", "baudrate", "why"),
    [
        ("/dev/no-such-port", 9600, "ENOENT"),
        ("/dev/null", 9600, "this is no serial port"),
        ("/dev/null", 7, "no such baudrate: 7"),
        (9, 9600, "UART"),
    ],
)
async def test_the_reason_is_told(tmp_path: Path, port: str | int, baudrate: int, why: str):
    link = {"kind": "serial", "port": port, "baudrate": baudrate}
    cfg = {"apps": {"far": "moat.micro.app.link:ClientLink"}, "far": {"link": link}}
    (tmp_path / "moat.cfg").write_bytes(packb(cfg))
    async with connect(link_in("unix", tmp_path), timeout=30) as dev:
        while "error" not in (status := await dev.far.rdy_()):
            pass
        assert why in status["error"]
        with pytest.raises((CallNotRunError, NotReadyError), match=why):
            await dev.far.sys.ping()
