"""Links and servers between the host and the unix image."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from moat.micro.boards import load
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.device import connect
from moat.micro.errors import LinkLost
from moat.micro.net.net import NetServer
from moat.micro.net.unix import UnixServer
from moat.micro.program import run_program
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.testing.console import Console
from tests.system.support import started

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])

# A program of the user's that serves its own commands, beside the stack on the console port.
SERVER = """
from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.net.net import NetServer
from moat.micro.net.unix import UnixServer
from moat.micro.proto.msgpack import MsgpackMsgBuf

class Counter(BaseCmd):
    value = 0
    async def cmd_add(self, n):
        self.value += n
        return self.value
    async def stream_count(self, out, n):
        for i in range(n):
            await out.send(i)

root = Dispatch({"counter": Counter()})

async def serve(link):
    async with CmdMsg(MsgpackMsgBuf(link), root) as cmd:
        await cmd.closed()

async def broken(link):
    async with link:
        raise ValueError("it is broken")

async def main():
    async with NetServer(serve) as net, UnixServer(serve, "sock"), NetServer(broken) as bad:
        print("<ports %d %d>" % (net.port, bad.port))
        await rt.Event().wait()
"""


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[list[str], int, Console]]:
    """An image that runs SERVER: where it serves, the port of `broken`, what it prints."""
    console = Console()
    async with started("unix", folder, console, {"main.py": SERVER}):
        found = await console.search(r"<ports (\d+) (\d+)>")
        yield [f"tcp:127.0.0.1:{found[1]}", f"unix:{folder / 'sock'}"], int(found[2]), console


async def test_the_image_serves_commands_over_the_network(tmp_path: Path) -> None:
    total = 0
    async with serving(tmp_path) as (targets, _, _):
        for target in targets:
            for _ in range(2):
                async with connect(target) as dev:
                    total += 1
                    assert await dev.counter.add(1) == total
                    async with dev.counter.count(100) as values:
                        assert [value async for value in values] == list(range(100))


async def test_several_hosts_at_once(tmp_path: Path) -> None:
    async def work(target: str) -> None:
        async with connect(target) as dev:
            for _ in range(50):
                await dev.counter.add(1)

    async with serving(tmp_path) as (targets, _, _):
        async with anyio.create_task_group() as tasks:
            for target in targets * 3:
                tasks.start_soon(work, target)
        async with connect(targets[0]) as dev:
            assert await dev.counter.add(0) == 300


async def test_an_error_in_a_handler_is_printed_by_the_device(tmp_path: Path) -> None:
    async with serving(tmp_path) as (targets, port, console):
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            with pytest.raises(anyio.EndOfStream):
                await client.receive()
        await console.search(r"127\.0\.0\.1:\d+: Traceback[^$]*ValueError: it is broken")
        async with connect(targets[0]) as dev:
            assert await dev.counter.add(1) == 1


async def test_the_image_is_gone_and_so_is_its_socket(tmp_path: Path) -> None:
    async with serving(tmp_path) as (targets, _, _):
        pass
    for target in targets:
        with pytest.raises(LinkLost, match="does the server run"):
            async with connect(target):
                pass


CLIENT = """
from moat.micro.cmd.msg import CmdMsg
from moat.micro.net.net import NetLink
from moat.micro.net.unix import UnixLink
from moat.micro.proto.msgpack import MsgpackMsgBuf

async def main():
    for link in (NetLink("127.0.0.1", PORT), NetLink("localhost", PORT), UnixLink("PATH")):
        async with CmdMsg(MsgpackMsgBuf(link)) as cmd:
            await cmd.ready()
            print("<%s>" % await cmd.call(["host", "greet"], "device"))
"""


class Host(BaseCmd):
    """What the host offers."""

    async def cmd_greet(self, name: str) -> str:
        return f"hello {name}"


async def test_the_image_calls_a_server_on_the_host(tmp_path: Path) -> None:
    async def serve(link: object) -> None:
        async with CmdMsg(MsgpackMsgBuf(link), Dispatch({"host": Host()})) as cmd:
            await cmd.closed()

    path = str(tmp_path / "sock")
    console = Console()
    async with NetServer(serve) as net, UnixServer(serve, path):
        program = CLIENT.replace("PORT", str(net.port)).replace("PATH", path)
        async with started("unix", tmp_path, console, {}) as dev:
            await run_program(dev, program)
            await console.search("(<hello device>\n){3}")


@pytest.mark.parametrize("board", ["qemu-arm"])
async def test_a_board_without_a_network_says_so(board: str) -> None:
    if not load(board).image_path.exists():
        pytest.fail(f"run: make BOARD={board} build")
    async with connect(f"emu:{board}") as dev:
        with pytest.raises(ImportError, match="built without a network"):
            await run_program(dev, "import moat.micro.net.net")
