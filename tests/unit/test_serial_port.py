"""How a serial port is found, set up and closed: on pseudo terminals, and with made-up lines."""

from __future__ import annotations

import errno
import os
import termios
import tty
from types import SimpleNamespace
from typing import Any, ClassVar

import anyio
import pytest
import serial

from moat.micro.errors import LinkLost
from moat.micro.net import serial as net_serial
from moat.micro.net.serial import SerialLink, find_port
from tests.unit.streams import rd


@pytest.fixture
def pty():
    """The two ends of a pseudo terminal: file descriptors."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, slave
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:
            pass  # the test has done it


def flags(fd):
    """The input and the control flags of a terminal."""
    iflag, _, cflag, *_ = termios.tcgetattr(fd)
    return iflag, cflag


# ---- by serial number


@pytest.fixture
def plugged_in(monkeypatch):
    """The USB devices that are plugged in: path, serial number, what it says of itself."""
    ports = []

    class Port(SimpleNamespace):
        def __lt__(self, other):
            return self.device < other.device

    def comports():
        names = "device", "serial_number", "description"
        return [Port(**dict(zip(names, port, strict=True))) for port in ports]

    monkeypatch.setattr(net_serial, "comports", comports)
    return ports


PICO = ("/dev/ttyACM0", "E6614C31", "Board CDC")
ESP = ("/dev/ttyUSB0", "0001", "CP2102")
BUILT_IN = ("/dev/ttyS0", None, "n/a")


def test_a_port_is_found_by_its_serial_number(plugged_in):
    plugged_in += [ESP, PICO, BUILT_IN]
    assert find_port("E6614C31") == "/dev/ttyACM0"
    assert find_port("e6614c31") == "/dev/ttyACM0"
    assert find_port("0001") == "/dev/ttyUSB0"
    assert find_port("/dev/ttyACM7") == "/dev/ttyACM7"


def test_a_serial_number_that_is_not_there_lists_what_is(plugged_in):
    plugged_in += [ESP, PICO, BUILT_IN]
    with pytest.raises(LinkLost) as info:
        find_port("0002")
    assert str(info.value).endswith(
        "there is: E6614C31 (/dev/ttyACM0, Board CDC), 0001 (/dev/ttyUSB0, CP2102)"
    )


def test_nothing_is_plugged_in(plugged_in):
    plugged_in += [BUILT_IN]
    for name in ("0001", "None", ""):
        with pytest.raises(LinkLost, match="there is: none at all"):
            find_port(name)


def test_a_device_with_several_ports_lists_them(plugged_in):
    plugged_in += [("/dev/ttyACM1", "E6614C31", "Board CDC"), PICO]
    with pytest.raises(LinkLost, match="give a path: /dev/ttyACM0, /dev/ttyACM1"):
        find_port("E6614C31")


async def test_it_is_looked_for_whenever_it_is_opened(plugged_in, pty):
    master, slave = pty
    link = SerialLink("E6614C31")
    with pytest.raises(LinkLost, match="no serial port has this USB serial number"):
        async with link:
            pass
    plugged_in += [(os.ttyname(slave), "E6614C31", "Board CDC")]
    async with link:
        os.write(master, b"hello")
        assert await rd(link) == b"hello"


# ---- speed and flow control


async def test_speed_and_no_flow_control(pty):
    _, slave = pty
    async with SerialLink(os.ttyname(slave), 9600):
        iflag, cflag = flags(slave)
        assert not iflag & (termios.IXON | termios.IXOFF)
        assert not cflag & termios.CRTSCTS
        assert termios.tcgetattr(slave)[4:6] == [termios.B9600, termios.B9600]


async def test_flow_control_by_lines(pty):
    async with SerialLink(os.ttyname(pty[1]), rtscts=True):
        iflag, cflag = flags(pty[1])
        assert cflag & termios.CRTSCTS
        assert not iflag & termios.IXON


async def test_flow_control_by_bytes(pty):
    async with SerialLink(os.ttyname(pty[1]), xonxoff=True):
        iflag, cflag = flags(pty[1])
        assert iflag & termios.IXON
        assert iflag & termios.IXOFF
        assert not cflag & termios.CRTSCTS


async def test_a_speed_that_is_none(pty):
    with pytest.raises(LinkLost, match=f"{os.ttyname(pty[1])}: .*baudrate: -1"):
        async with SerialLink(os.ttyname(pty[1]), -1):
            pass


# ---- DTR and RTS


class Lines(serial.Serial):
    """A serial port whose lines are written down, in the order in which they change."""

    log: ClassVar[list[str]] = []

    def _update_dtr_state(self):
        self._note("dtr", self.dtr)

    def _update_rts_state(self):
        self._note("rts", self.rts)

    def _note(self, line, up):
        self.log.append(line if up else "no " + line)


@pytest.fixture
def lines(monkeypatch):
    """How the lines of ports change."""
    monkeypatch.setattr(serial, "Serial", Lines)
    monkeypatch.setattr(Lines, "log", [])
    monkeypatch.setattr(net_serial, "_RESET_S", 0)
    return Lines.log


async def test_the_lines_stay_as_linux_has_put_them(lines, pty):
    _, slave = pty
    attrs = termios.tcgetattr(slave)
    attrs[2] |= termios.HUPCL
    termios.tcsetattr(slave, termios.TCSANOW, attrs)
    async with SerialLink(os.ttyname(slave)):
        assert not flags(slave)[1] & termios.HUPCL
    assert lines == ["dtr", "rts"]


async def test_a_reset_that_is_asked_for(lines, pty):
    _, slave = pty
    attrs = termios.tcgetattr(slave)
    attrs[2] |= termios.HUPCL
    termios.tcsetattr(slave, termios.TCSANOW, attrs)
    async with SerialLink(os.ttyname(slave), reset=True):
        assert flags(slave)[1] & termios.HUPCL
    assert lines == ["dtr", "rts", "no dtr", "dtr"]


async def test_rts_is_lowered_before_dtr(lines, pty):
    async with SerialLink(os.ttyname(pty[1]), dtr=False, rts=False):
        pass
    assert lines == ["dtr", "rts", "no rts", "no dtr"]


@pytest.mark.parametrize("option", ["reset", "dtr", "rts"])
async def test_a_port_without_lines(pty, option):
    link = SerialLink(os.ttyname(pty[1]), **{option: option == "reset"})
    for _ in range(2):  # it does not stay open either
        with pytest.raises(LinkLost, match="cannot set DTR and RTS: has this port such lines"):
            async with link:
                pass


# ---- the end


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EACCES, "Permission denied: your user has to be in the group"),
        (errno.EBUSY, "Device or resource busy: another program uses it"),
        (errno.ENOENT, "No such file or directory: is it plugged in?"),
    ],
)
async def test_why_a_port_cannot_be_opened(monkeypatch, code, remedy):
    def fail(*_a, **_kw):
        raise serial.SerialException(code, "…")

    monkeypatch.setattr(serial, "Serial", fail)
    with pytest.raises(LinkLost, match=f"/dev/x: {remedy}"):
        async with SerialLink("/dev/x"):
            pass


async def test_a_port_that_is_in_use_says_so(pty):
    path = os.ttyname(pty[1])
    async with SerialLink(path):
        with pytest.raises(LinkLost, match=f"{path}: .*: another program uses it"):
            async with SerialLink(path):
                pass


async def test_a_port_that_was_unplugged_says_so(pty):
    master, slave = pty
    link = SerialLink(os.ttyname(slave))
    async with link:
        os.close(master)
        with pytest.raises(LinkLost, match="the port is gone: was it unplugged"):
            await rd(link)
        with pytest.raises(LinkLost, match="the port is gone: was it unplugged"):
            await link.wr(b"x")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENXIO, errno.ENODEV])
async def test_an_error_of_a_port_that_was_unplugged(pty, monkeypatch, code):
    def fail(*_args):
        raise OSError(code, "…")

    async with SerialLink(os.ttyname(pty[1])) as link:
        monkeypatch.setattr(os, "write", fail)
        with pytest.raises(LinkLost, match="the port is gone: was it unplugged"):
            await link.wr(b"x")


class Slow(serial.Serial):
    """A serial port that takes its time to send."""

    waiting: ClassVar[list[Any]] = [0]

    @property
    def out_waiting(self):
        self.waiting[0] = max(0, self.waiting[0] - 1)
        return self.waiting[0]

    def reset_output_buffer(self):
        self.waiting.append("dropped")


@pytest.fixture
def slow(monkeypatch):
    """What waits to be sent."""
    monkeypatch.setattr(serial, "Serial", Slow)
    monkeypatch.setattr(Slow, "waiting", [0])
    monkeypatch.setattr(net_serial, "_DRAIN_S", 0.05)
    return Slow.waiting


async def test_leaving_waits_for_the_last_bytes(slow, pty):
    with anyio.CancelScope() as scope:
        async with SerialLink(os.ttyname(pty[1])):
            slow[0] = 4
            scope.cancel()
    assert slow == [0]


async def test_leaving_does_not_wait_for_ever(slow, pty):
    async with SerialLink(os.ttyname(pty[1])):
        slow[0] = 1_000_000
    assert slow[1] == "dropped"
