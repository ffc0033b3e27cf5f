"""The host with link apps of its own, and devices that lead back to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moat.micro.boards import load
from moat.micro.cmd.apps import Tree, build
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.device import connect
from tests.system.support import link_in, probe, write_files

CLIENT = "moat.micro.app.link:ClientLink"


class Echo(BaseCmd):
    """What the host offers."""

    async def cmd_same(self, value: Any) -> Any:
        return value

    async def stream_same(self, st: Any) -> None:
        async for value in st:
            await st.send(value)


async def call(root: Tree, path: list[Any], *args: Any) -> Any:
    """Call through a link of the host's tree."""
    link, n = root.find(path)
    return await link.call(path[n:], *args)


async def test_a_process_is_a_device_of_the_host(tmp_path: Path):
    write_files(tmp_path, probe())
    argv = [str(load("unix").image_path)]
    link = {"kind": "process", "argv": argv, "cwd": str(tmp_path)}
    async with build({"apps": {"dev": CLIENT}, "dev": {"link": link}}) as root:
        await root.find(["dev", "rdy_"])(wait=True)
        assert await call(root, ["dev", "probe", "add"], 40) == 41


async def test_the_name_of_a_target_will_do(tmp_path: Path):
    link = {"kind": "target", "target": "emu:qemu-arm"}
    async with build({"apps": {"dev": CLIENT}, "dev": {"link": link}}) as root:
        await root.find(["dev", "rdy_"])(wait=True)
        assert await call(root, ["dev", "sys", "ping"], "x") == "x"
        assert (await call(root, ["dev", "sys", "info"]))["platform"] == "qemu"


async def test_values_keep_all_their_bits_on_the_way_through_a_device(target: str, tmp_path: Path):
    """The emulated board has floats of 32 bits; what it passes on it does not decode."""
    values = [1.1, 1e300, 2**63, 5e-324, {"x": b"\x00", "y": [0.1]}]
    root = Dispatch({"echo": Echo()})
    async with connect(link_in(target, tmp_path), root=root, timeout=30) as dev:
        assert await dev.host.echo.same(values) == values
        async with dev.host.echo.same() as st:
            for value in values:
                await st.send(value)
            await st.finish()
            assert [value async for value in st] == values
