"""The host's serial ports, tried on pseudo terminals. On asyncio and on trio."""

from __future__ import annotations

import os
import tty

import anyio
import pytest

from moat.micro import rt
from moat.micro.errors import LinkLost
from moat.micro.net.serial import SerialLink
from tests.unit.streams import rd, second_reader_is_refused


@pytest.fixture
def pty():
    """The master of a pseudo terminal, and a SerialLink to it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    link = SerialLink(os.ttyname(slave))
    with os.fdopen(master, "r+b", buffering=0) as file:
        yield file, link
    os.close(slave)  # not before: the buffer of a pty that nobody has open is lost


async def test_a_serial_port_carries_any_byte(pty):
    master, link = pty
    async with link:
        for data in (bytes(range(256)), b"\x03\x04\r\n\x11\x13\xff"):
            master.write(data)
            got = b""
            while len(got) < len(data):
                got += await rd(link)
            assert got == data
            await link.wr(data)
            assert master.read(1000) == data


async def test_a_serial_port_that_vanishes(pty):
    master, link = pty
    lost = []

    async def read():
        with pytest.raises(LinkLost, match=link.port):
            await rd(link)
        lost.append(True)

    async with link:
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            master.close()
        assert lost
        with pytest.raises(LinkLost):
            await link.wr(b"x")


async def test_a_second_reader_of_a_serial_port_is_refused(pty):
    master, link = pty

    async def wake():
        master.write(b"hello")

    async with link:
        await second_reader_is_refused(link, wake)


async def test_a_serial_port_that_does_not_exist():
    with pytest.raises(LinkLost, match="/dev/no-such-port: No such file"):
        async with SerialLink("/dev/no-such-port"):
            pass


async def test_a_serial_port_is_opened_once(pty):
    _, link = pty
    async with link:
        with pytest.raises(LinkLost, match=link.port):
            async with SerialLink(link.port):
                pass
    async with SerialLink(link.port):
        pass


async def drain(master, n):
    """Read `n` bytes from the master of a pty."""
    got = b""
    while len(got) < n:
        await anyio.wait_readable(master)
        got += master.read(65536)
    return got


async def test_a_cancelled_write_to_a_serial_port_is_finished_by_the_next(pty):
    master, link = pty
    first = bytes(range(256)) * 400
    async with link:
        with anyio.move_on_after(0.05) as scope:
            await link.wr(first)
        assert scope.cancelled_caught
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(link.wr, b"next")
            assert await drain(master, len(first) + 4) == first + b"next"


async def test_what_was_left_over_is_not_sent_when_it_is_opened_again(pty):
    master, link = pty
    first = bytes(100_000)
    async with link:
        with anyio.move_on_after(0.05):
            await link.wr(first)
    os.set_blocking(master.fileno(), False)
    while master.read(65536):
        pass
    async with link:
        await link.wr(b"new")
        assert await drain(master, 3) == b"new"
