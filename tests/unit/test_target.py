"""Names of devices, and the links that they stand for."""

import sys
from pathlib import Path

import pytest

from moat.micro import target
from moat.micro.boards import Board
from moat.micro.net.net import NetLink
from moat.micro.net.process import ProcessLink
from moat.micro.net.serial import SerialLink
from moat.micro.net.unix import UnixLink
from moat.micro.target import TargetError, link_to


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("/dev/ttyACM0", "/dev/ttyACM0"),
        ("serial:/dev/ttyACM0", "/dev/ttyACM0"),
        ("serial:E6614C31", "E6614C31"),
    ],
)
def test_a_serial_port_by_path_or_serial_number(name, port):
    link = link_to(name)
    assert isinstance(link, SerialLink)
    assert link.port == port
    assert (link.baudrate, link.rtscts, link.xonxoff) == (115200, False, False)
    assert (link.dtr, link.rts, link.reset) == (True, True, False)


def test_a_serial_port_with_options():
    link = link_to("/dev/ttyUSB0?baud=9600&rtscts=1&xonxoff=0&reset=1&dtr=0&rts=0")
    assert isinstance(link, SerialLink)
    assert link.port == "/dev/ttyUSB0"
    assert (link.baudrate, link.rtscts, link.xonxoff) == (9600, True, False)
    assert (link.dtr, link.rts, link.reset) == (False, False, True)


@pytest.mark.parametrize(
    "option", ["baud", "baud=", "baud=fast", "baud=0", "rtscts", "reset=2", "speed=9600", ""]
)
def test_an_option_that_a_serial_port_does_not_have(option):
    with pytest.raises(TargetError, match=f"cannot use '{option}'; use baud=NUMBER, and rtscts"):
        link_to(f"serial:/dev/ttyUSB0?xonxoff=1&{option}")


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [
        ("tcp:localhost:80", "localhost", 80),
        ("tcp:127.0.0.1:65535", "127.0.0.1", 65535),
        ("tcp:[::1]:1", "::1", 1),
    ],
)
def test_a_tcp_server(name, host, port):
    link = link_to(name)
    assert isinstance(link, NetLink)
    assert (link.host, link.port) == (host, port)


@pytest.mark.parametrize(
    "name",
    [
        "tcp:localhost", "tcp:localhost:", "tcp::80", "tcp:localhost:http", "tcp:a:0",
        "tcp:a:65536", "tcp:::1:80", "tcp:[::1]", "tcp:[]:80",
    ],
)  # fmt: skip
def test_what_is_no_tcp_server(name):
    with pytest.raises(TargetError, match=r"use tcp:HOST:PORT .* as in tcp:\[::1\]:4321"):
        link_to(name)


def test_a_named_socket():
    link = link_to("unix:some/where")
    assert isinstance(link, UnixLink)
    assert link.path == "some/where"


def test_a_program():
    link = link_to("process:cat 'a file' -", cwd="/tmp")
    assert isinstance(link, ProcessLink)
    assert link.argv == ["cat", "a file", "-"]
    assert link.cwd == "/tmp"


@pytest.mark.parametrize(
    ("command", "why"), [("cat 'x", "No closing quotation"), (" ", "what is to be started")]
)
def test_what_is_no_program(command, why):
    with pytest.raises(TargetError, match=why):
        link_to(f"process:{command}")


def test_a_board_in_its_emulator():
    link, same = link_to("unix"), link_to("emu:unix")
    assert isinstance(link, ProcessLink)
    assert isinstance(same, ProcessLink)
    assert list(link.argv) == list(same.argv)


@pytest.mark.parametrize("name", ["", "nonsense", "usb:1", "serial:", "tcp:", "unix:", "emu:"])
def test_what_names_no_device_says_what_would(name):
    with pytest.raises(TargetError) as info:
        link_to(name)
    assert f"'{name}' names no device" in str(info.value)
    for kind in target._KINDS:
        assert f"{kind}:" in str(info.value)


def test_the_serial_library_is_not_loaded_for_other_links(monkeypatch):
    monkeypatch.setitem(sys.modules, "moat.micro.net.serial", None)
    link_to("tcp:a:1")
    with pytest.raises(ImportError):
        link_to("/dev/ttyACM0")


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("BOARD=rp2 build", "image"),
        ("emulator", "emulator"),
        ("BOARD=rp2 build emulator", "image"),
    ],
)
def test_an_emulated_board_that_is_not_built(monkeypatch, missing, what):
    monkeypatch.setattr(Board, "to_make", lambda _self: missing)
    with pytest.raises(
        TargetError, match=f"^the {what} of rp2 is not built; run: make {missing}$"
    ):
        link_to("emu:rp2")


def test_an_emulated_board_with_a_flash_file(monkeypatch):
    monkeypatch.setattr(Board, "to_make", lambda _self: "")
    link = link_to("emu:rp2?flash=some/file", cwd="/")
    assert isinstance(link, ProcessLink)
    assert link.argv[-2:] == ["--flash", str(Path("some/file").absolute())]
    link = link_to("emu:rp2")
    assert isinstance(link, ProcessLink)
    assert "--flash" not in link.argv


@pytest.mark.parametrize("query", ["flash", "flash=", "file=x"])
def test_an_option_that_an_emulated_board_does_not_have(query):
    with pytest.raises(TargetError, match=f"cannot use '{query}'; use flash=FILE"):
        link_to(f"emu:rp2?{query}")
