"""`connect`, and the objects that stand for a device's commands."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest
from msgpack import packb

from moat.micro.cmd.auth import auth
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, DirCmd, Dispatch
from moat.micro.device import Command, Device, connect
from moat.micro.errors import (
    AuthError,
    CallUnknownError,
    LinkLost,
    NotFoundError,
    ProtocolError,
    RemoteError,
)
from moat.micro.net.process import ProcessLink
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.rt import TaskGroup
from moat.micro.stacks import ConfigError
from moat.micro.sync import SyncCommand, SyncDevice
from tests.unit.streams import SocketBuf, socket_pair


@pytest.fixture
def line():
    """The two ends of a line."""
    with socket_pair() as (a, b):
        yield SocketBuf(a), SocketBuf(b)


class Demo(BaseCmd):
    """What the device in these tests can do."""

    async def cmd_add(self, a, b=2):
        return a + b

    async def stream_count(self, st, n):
        for i in range(n):
            await st.send(i)
        return "done"


TREE = Dispatch({"demo": Demo(), "sub": DirCmd({"demo": Demo()})})


@asynccontextmanager
async def connected(line, **kw):
    """A device that serves TREE, and its stream; then what `connect` gives."""
    msg = MsgpackMsgBuf(line[1])
    async with CmdMsg(msg, TREE) as served, connect(line[0], **kw) as dev:
        yield dev, served, msg


async def test_commands_are_attributes_and_items(line):
    async with connected(line) as (dev, _, _):
        assert await dev.demo.add(1) == 3
        assert await dev.demo.add(1, b=5) == 6
        assert await dev["sub"].demo["add"](a=1) == 3
        assert await dev.call(["sub", "demo", "add"], 7) == 9
        assert (await dev.dir_())["d"] == ["demo", "sub"]
        assert repr(dev.sub.demo.add) == "<command sub.demo.add>"
        with pytest.raises(NotFoundError, match="'nix' in 'demo'; there is: add"):
            await dev.demo.nix()
        with pytest.raises(AttributeError):
            dev._private  # noqa: B018


def test_only_call_cannot_be_the_name_of_an_app():
    def public(cls):
        return [name for name in dir(cls) if not name.startswith("_")]

    assert public(Device) == public(SyncDevice) == ["call"]
    assert public(Command) == public(SyncCommand) == []


async def test_a_call_that_is_entered_is_a_stream(line):
    async with connected(line) as (dev, _, _):
        async with dev.demo.count(5) as values:
            assert [value async for value in values] == [0, 1, 2, 3, 4]
            assert values.result == "done"
        async with dev.call(["demo", "count"], n=2) as values:
            assert await values.recv() == 0


async def test_the_device_can_call_back(line):
    async with connected(line, root=TREE) as (dev, served, _):
        await served.ready()
        assert await served.call(["demo", "add"], 3) == 5
        assert await dev.demo.add(1) == 3


async def test_the_console_arrives_as_text_beside_the_calls(line):
    def console(part):
        text.append(part)
        if part.endswith("end\n"):
            ended.set()

    text, ended = [], anyio.Event()
    async with connected(line, console=console) as (dev, _, msg):
        for byte in "grün\n".encode():  # a character may come in parts
            await msg.cwr(bytes((byte,)))
            await dev.demo.add(1)
        await msg.cwr(b"\xffend\n")
        with anyio.fail_after(5):
            await ended.wait()
    assert "".join(text) == "grün\n\ufffdend\n"


async def test_the_console_goes_to_stderr(line, capsys):
    async with connected(line) as (_, _, msg):
        await msg.cwr(b"hello\n")
        await anyio.wait_all_tasks_blocked()
    assert "hello\n" in capsys.readouterr().err


async def test_a_device_that_does_not_answer(line):
    with pytest.raises(LinkLost, match=r"not answered in 0\.05 seconds: does the stack run"):
        async with line[1], connect(line[0], timeout=0.05):
            pass


async def test_a_device_of_another_version(line):
    async with line[1]:
        await line[1].wr(b"\xc1" + packb([0, 9, 0x58585858, None, 4096, {}]))
        with pytest.raises(ProtocolError, match=r"version 9 .* this end 2"):
            async with connect(line[0]):
                pass


KEY = "the key of this link"


async def test_a_device_with_a_key(line):
    async with (
        CmdMsg(MsgpackMsgBuf(line[1]), TREE, auth=auth(KEY, server=True)),
        connect(line[0], key=KEY.encode()) as dev,
    ):
        assert await dev.demo.add(1) == 3


@pytest.mark.parametrize("key", [None, "the key of another one"])
async def test_a_device_with_another_key(line, key):
    async with CmdMsg(MsgpackMsgBuf(line[1]), TREE, auth=auth(KEY, server=True)) as cmd:

        async def serve() -> None:
            with pytest.raises(AuthError):
                await cmd.ready()
            await cmd._leave()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            with pytest.raises(AuthError, match="wants its key"):
                async with connect(line[0], key=key):
                    pass


async def test_a_device_without_a_key(line):
    async with CmdMsg(MsgpackMsgBuf(line[1]), TREE):
        with pytest.raises(AuthError, match="no key"):
            async with connect(line[0], key=KEY):
                pass


async def test_a_key_that_is_too_short(line):
    with pytest.raises(ConfigError, match="at least 16"):
        async with connect(line[0], key="short"):
            pass


async def test_a_device_that_proves_nothing(line):
    with pytest.raises(LinkLost, match=r"not answered .* with the same key"):
        async with line[1], connect(line[0], key=KEY, timeout=0.05):
            pass


async def test_a_program_that_ends_at_once_says_why():
    link = ProcessLink(["sh", "-c", "echo 'no such board' >&2; exit 4"])
    with anyio.fail_after(5):
        with pytest.raises(LinkLost, match="status 4: no such board"):
            async with connect(link):
                pass


async def test_a_program_that_is_no_device():
    with anyio.fail_after(5):
        with pytest.raises(LinkLost):
            async with connect(ProcessLink(["cat"]), timeout=0.2):
                pass


async def test_a_device_that_goes_away_ends_the_call(line):
    class Fatal(BaseCmd):
        async def cmd_die(self):
            scope.cancel()
            await anyio.sleep_forever()

    async def device():
        with scope:
            async with CmdMsg(MsgpackMsgBuf(line[1]), Dispatch({"demo": Fatal()})):
                await anyio.sleep_forever()

    scope = anyio.CancelScope()
    async with TaskGroup() as tasks:
        tasks.start_soon(device)
        async with connect(line[0]) as dev:
            # Its last words may be about the command.
            with pytest.raises(
                (CallUnknownError, RemoteError), match=r"left|closed|was cancelled"
            ):
                await dev.demo.die()


async def test_an_error_in_the_body_comes_out_as_it_is(line):
    async with CmdMsg(MsgpackMsgBuf(line[1]), TREE):
        with pytest.raises(KeyError):
            async with connect(line[0]):
                raise KeyError(1)
