"""Who has come over a network link to a device tries to get more than it may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.device import Device, connect
from moat.micro.errors import NotPermittedError
from tests.system.row import UP, device, write_device
from tests.system.support import probe
from tests.system.test_links import free_port

# What would lead further, and what would leave a file behind or change one.
CALLS: list[tuple[Any, tuple[Any, ...]]] = [
    (["sys", "eval"], ("open('got_in', 'w').close()",)),
    (["sys", "exec"], ("open('got_in', 'w').close()",)),
    (["sys", "reset"], ()),
    (["sys", "stp_"], ()),
    (["cfg", "get"], ()),
    (["cfg", "set"], (["up", "rights"], [""])),
    (["cfg", "save"], ()),
    (["run", "put"], (0, b"open('got_in', 'w').close()")),
    (["run", "start"], ("x",)),
    (["probe", "add"], (1,)),
    (["up", "address"], ()),
    (["up", 0, "sys", "ping"], ()),
    (["up", "0", "sys", "ping"], ()),
    (["host", "greeter", "greet"], ()),
    (["dir_"], ()),
    (["stp_"], ()),
    (["upd_"], ()),
    (["sys.exec"], ("open('got_in', 'w').close()",)),
    (["sys", "ping", "eval"], ("1",)),
    (["sys", "", "exec"], ("1",)),
    ("sys.exec", ("1",)),
    ("sexec", ("1",)),
]


class Greeter(BaseCmd):
    """What the device's own host offers."""

    async def cmd_greet(self) -> str:
        return "hello"


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[tuple[Device, Device, Path]]:
    """The device as its host sees it, and as a stranger does; its folder."""
    folder, port = tmp_path / "device", free_port()
    cfg = {"apps": UP, "up": {"link": {"kind": "tcp", "port": port}}}
    write_device(folder, cfg, probe())
    target = f"tcp:127.0.0.1:{port}"
    async with (
        device(folder, Dispatch({"greeter": Greeter()})) as dev,
        connect(target, docs=False) as stranger,
    ):
        yield dev, stranger, folder


async def test_a_stranger_may_ping_and_no_more(ends: tuple[Device, Device, Path]):
    dev, stranger, folder = ends
    before = (folder / "moat.cfg").read_bytes()
    await dev.sys.exec("here = 1")
    for path, args in CALLS:
        with pytest.raises(NotPermittedError):
            await stranger.call(path, *args)
        stranger.call(path, *args).send()
        with pytest.raises(NotPermittedError):
            async with stranger.call(path, *args) as st:
                await st.recv()
    assert await stranger.sys.ping(1) == 1
    assert (await stranger.sys.info())["platform"] == "linux"
    assert not (folder / "got_in").exists()
    assert (folder / "moat.cfg").read_bytes() == before
    assert await dev.sys.eval("here") == 1  # it was not reset
    assert await dev.rdy_() == {"state": "ready"}


async def test_a_stranger_gets_no_stream(ends: tuple[Device, Device, Path]):
    _, stranger, _ = ends
    for path in (["sys", "log"], ["probe", "count"], "slog", ["sys", "ping", "log"]):
        with pytest.raises(NotPermittedError):
            async with stranger.call(path, "debug") as st:
                await st.recv()


async def test_the_config_decides_what_the_next_one_may_do(ends: tuple[Device, Device, Path]):
    dev, stranger, _ = ends
    target = "tcp:" + await dev.up.address()
    with pytest.raises(NotPermittedError):
        await stranger.probe.add(1)
    await dev.cfg.set(["up", "rights"], ["probe.add"])
    await dev.cfg.save()
    await dev.up.rdy_(wait=True)
    async with connect(target, docs=False) as friend:
        assert await friend.probe.add(1) == 2
        for call in (friend.sys.ping(), friend.probe.lamps[0].number(), friend.probe.dir_()):
            with pytest.raises(NotPermittedError):
                await call
