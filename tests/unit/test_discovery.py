"""Finding boards: on USB, by the drives of boot loaders, and emulators that run."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from serial.tools import list_ports

from moat.micro import discovery, drives
from moat.micro.boards import load
from moat.micro.discovery import (
    DiscoveryError,
    Found,
    NoBoardError,
    SeveralBoardsError,
    check_access,
    choose,
    find,
    from_drives,
    from_emulators,
    from_ports,
    registered,
)
from moat.micro.drives import Drive
from moat.micro.net.net import NetLink
from moat.micro.target import TargetError, link_to

RP2 = load("rp2")
INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"


@dataclass
class Port:
    device: str
    vid: int | None = 0x2E8A
    pid: int | None = 0x0005
    serial_number: str | None = "E660"
    product: str | None = "Board in FS mode"


def drive(folder: Path, info: str = INFO) -> Path:
    folder.mkdir(parents=True)
    (folder / "INFO_UF2.TXT").write_text(info, newline="")
    return folder


def test_a_running_board_is_known_by_its_usb_ids():
    ports = [Port("/dev/ttyACM1"), Port("/dev/ttyS0", None, None), Port("/dev/ttyACM0", pid=3)]
    (found,) = from_ports(RP2, ports)
    assert (found.port, found.serial, found.drive) == ("/dev/ttyACM1", "E660", None)
    assert (found.target, found.place) == ("serial:/dev/ttyACM1", "/dev/ttyACM1")


def test_a_board_without_usb_ids_is_never_found():
    assert from_ports(load("unix"), [Port("/dev/ttyACM1")]) == []


def test_a_drive_tells_which_board_it_is(tmp_path):
    found = drives.read(drive(tmp_path / "d"))
    assert found == Drive(tmp_path / "d", "RPI-RP2", "Raspberry Pi RP2")
    assert found
    assert found.is_there()
    (tmp_path / "d" / "INFO_UF2.TXT").unlink()
    assert not found.is_there()


@pytest.mark.parametrize("text", ["", "Model: x\n", "\0" * 5000])
def test_another_drive_is_none(tmp_path, text):
    assert drives.read(drive(tmp_path / "d", text)) is None


def folders(found: list[Drive], root: Path) -> list[str]:
    return [str(d.folder.relative_to(root)) for d in found]


def test_drives_on_linux(tmp_path):
    drive(tmp_path / "media/RPI-RP2")
    drive(tmp_path / "media/me/RPI-RP2")
    drive(tmp_path / "run/media/me/RPI-RP2")
    drive(tmp_path / "mnt/a b")
    drive(tmp_path / "net")
    (tmp_path / "media/me/other").mkdir()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/mounts").write_text(
        "/dev/sda1 /mnt/a\\040b vfat rw 0 0\nserver:/x /net nfs rw 0 0\nnonsense\n"
    )
    assert folders(drives.mounted("linux", str(tmp_path)), tmp_path) == [
        "media/RPI-RP2", "media/me/RPI-RP2", "mnt/a b", "run/media/me/RPI-RP2",
    ]  # fmt: skip


def test_drives_on_macos(tmp_path):
    drive(tmp_path / "Volumes/RPI-RP2")
    drive(tmp_path / "media/RPI-RP2")
    assert folders(drives.mounted("darwin", str(tmp_path)), tmp_path) == ["Volumes/RPI-RP2"]


def test_drives_on_windows(tmp_path):
    drive(tmp_path / "E:")
    drive(tmp_path / "A:")
    assert folders(drives.mounted("win32", f"{tmp_path}/"), tmp_path) == ["E:"]


def test_a_drive_that_nobody_mounted(tmp_path):
    by_label = tmp_path / "dev/disk/by-label"
    by_label.mkdir(parents=True)
    device = tmp_path / "dev/sda1"
    device.touch()
    root = str(tmp_path)
    assert drives.unmounted("RPI-RP2", "linux", root) is None
    (by_label / "RPI-RP2").symlink_to(device)
    assert drives.unmounted("RPI-RP2", "linux", root) == by_label / "RPI-RP2"
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/mounts").write_text("/dev/sda1 /mnt vfat rw 0 0\n")
    assert drives.unmounted("RPI-RP2", "linux", root) is None


def register(folder: Path, pid: int, **more: Any) -> Path:
    entry = {
        "pid": pid, "board": "rp2", "unique_id": "E6605838", "ports": {"usb": 4711, "control": 1},
        "ptys": {}, "drive": str(folder / "drive"),
    }  # fmt: skip
    (folder / "emulators").mkdir(parents=True, exist_ok=True)
    path = folder / "emulators" / f"{pid}.json"
    path.write_text(json.dumps(entry | more))
    return path


def test_emulators_that_run_are_registered(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    register(tmp_path, os.getpid())
    register(tmp_path, gone.pid)
    (tmp_path / "emulators/1.json").write_text("{")
    (tmp_path / "emulators/2.json").write_text('{"pid": 1}')
    assert [entry["pid"] for entry in registered(tmp_path)] == [os.getpid()]
    assert registered(tmp_path / "none") == []


def test_an_emulator_runs_or_is_in_its_boot_loader(tmp_path):
    register(tmp_path, os.getpid())
    (found,) = from_emulators(RP2, registered(tmp_path))
    assert (found.target, found.serial) == ("tcp:127.0.0.1:4711", "E6605838")
    assert found.is_emulated
    assert found.drive is None
    drive(tmp_path / "drive")
    (found,) = from_emulators(RP2, registered(tmp_path))
    assert found.drive
    assert found.place == str(tmp_path / "drive")
    assert from_emulators(load("rp2350"), registered(tmp_path)) == []


def test_the_folder_of_the_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_RUN", str(tmp_path / "x"))
    assert discovery.run_dir() == tmp_path / "x"
    monkeypatch.delenv("MOAT_RUN")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert discovery.run_dir() == tmp_path / "moat-micro"


ONE = Found("a", "/dev/ttyACM0", "E660")
TWO = Found("b", "/dev/ttyACM1", "e661")


def test_the_only_one_is_meant():
    assert choose(RP2, [ONE]) is ONE


@pytest.mark.parametrize(
    "names",
    [{"port": "/dev/ttyACM1"}, {"port": "serial:/dev/ttyACM1"}, {"serial": "E661"}],
)
def test_one_of_several_is_named(names):
    assert choose(RP2, [ONE, TWO], **names) is TWO


def test_several_are_listed():
    with pytest.raises(SeveralBoardsError) as err:
        choose(RP2, [ONE, TWO])
    assert err.value.found == [ONE, TWO]
    assert str(err.value) == (
        "rp2: several boards, choose with PORT= or SERIAL=: "
        "/dev/ttyACM0 (E660), /dev/ttyACM1 (e661)"
    )


def test_a_link_to_a_port_names_it(tmp_path):
    real, link = tmp_path / "ttyACM0", tmp_path / "by-id"
    real.touch()
    link.symlink_to(real)
    one = replace(ONE, port=str(real))
    assert choose(RP2, [one, TWO], port=str(link)) is one


def test_an_unknown_port_lists_the_known_ones():
    with pytest.raises(NoBoardError, match=r"no port /dev/x; there is: /dev/ttyACM0$"):
        choose(RP2, [ONE], port="/dev/x")


def test_none_names_the_emulator():
    emulated = replace(RP2, run=load("unix").run)
    with pytest.raises(NoBoardError) as err:
        choose(emulated, [])
    assert str(err.value) == (
        "rp2: no board is plugged in; for an emulated one: make BOARD=rp2 emulate"
    )
    with pytest.raises(NoBoardError, match=r"no board is plugged in$"):
        choose(replace(RP2, run=None), [])


def test_an_unknown_serial_number_lists_the_known_ones():
    with pytest.raises(NoBoardError, match=r"has the serial number 1; there is: E660, e661$"):
        choose(RP2, [ONE, TWO], serial="1")


def test_another_kind_of_board_counts_where_it_is_the_only_one(tmp_path):
    other = Drive(tmp_path, "RP2350", "Raspberry Pi RP2350")
    found = from_drives(RP2, [other])
    assert choose(RP2, found).drive == other
    assert choose(RP2, [*found, ONE]) is ONE
    assert from_drives(load("unix"), [other]) == []


def test_no_permission_names_the_rule_to_add(tmp_path, monkeypatch):
    port = tmp_path / "ttyACM0"
    port.touch()
    one = Found("a", str(port), usb_id="2e8a:0005")
    check_access(one)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    with pytest.raises(DiscoveryError) as err:
        check_access(one)
    rule = 'SUBSYSTEM=="tty", ATTRS{idVendor}=="2e8a", ATTRS{idProduct}=="0005", TAG+="uaccess"'
    assert rule in str(err.value)
    assert "/etc/udev/rules.d/60-" in str(err.value)
    check_access(replace(one, port="tcp:127.0.0.1:1"))


@pytest.fixture
def emulated(tmp_path, monkeypatch):
    """No port and no drive; emulators are registered in the folder."""
    monkeypatch.setenv("MOAT_RUN", str(tmp_path))
    monkeypatch.setattr(list_ports, "comports", list)
    monkeypatch.setattr(drives, "mounted", list)
    return tmp_path


def test_connect_finds_what_is_plugged_in(emulated, monkeypatch):
    with pytest.raises(NoBoardError, match="no board is plugged in"):
        link_to("board:rp2")
    register(emulated, os.getpid())
    link = link_to("board:rp2")
    assert isinstance(link, NetLink)
    assert link.port == 4711
    drive(emulated / "drive")
    with pytest.raises(TargetError, match=r"is in its boot loader.*make BOARD=rp2 flash"):
        link_to("board:rp2")
    monkeypatch.setattr(list_ports, "comports", lambda: [Port("/dev/ttyACM0")])
    with pytest.raises(SeveralBoardsError, match="several boards"):
        link_to("board:rp2")


def test_a_port_that_is_named_need_not_be_known(emulated):
    port = emulated / "port"
    assert find(RP2, str(port)) == []
    port.touch()
    assert find(RP2, str(port)) == [Found(RP2.title, str(port))]
    assert find(RP2, "tcp:127.0.0.1:1")[0].target == "tcp:127.0.0.1:1"
    register(emulated, os.getpid())
    assert len(find(RP2, "tcp:127.0.0.1:4711")) == 1
