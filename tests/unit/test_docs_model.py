"""docs/commands.md, the model: its examples, run as they stand there."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import pytest

from moat.micro import rt
from moat.micro.cmd import _caller
from moat.micro.cmd.link import LinkCmd
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.path import P
from moat.micro.cmd.tree import Dispatch
from moat.micro.device import Device
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.testing.memory import MemBuf, buf_pair
from tools.docs import blocks

COMMANDS = Path(__file__).parents[2] / "docs" / "commands.md"
TEXT = " ".join(COMMANDS.read_text(encoding="utf-8").split())
EXAMPLES = blocks(COMMANDS, "example")
ERRORS = [vars(import_module(f"moat.micro.{name}")) for name in ("errors", "call_errors")]
NAMES = {"anyio": anyio, "P": P, **ERRORS[0], **ERRORS[1]}


def new_app() -> Any:
    names: dict[str, Any] = {}
    exec(EXAMPLES["app"], names)  # noqa: S102 -- our own text
    return names["App"]()


class World:
    """A host, a device, and one behind it."""

    def __init__(self) -> None:
        self.app, self.far = new_app(), new_app()
        self.next = LinkCmd()
        self.near: MemBuf
        self.host: CmdMsg

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Device]:
        a, b = buf_pair(hangs_up=False)
        c, d = buf_pair(hangs_up=False)
        self.near = a
        hop = Dispatch({"meter": self.app, "m": self.app, "next": self.next})
        far = Dispatch({"meter": self.far})
        async with AsyncExitStack() as stack:

            async def end(buf: Any, root: Any, **kw: Any) -> CmdMsg:
                cmd = CmdMsg(MsgpackMsgBuf(buf), root, window=30, **kw)
                await stack.enter_async_context(cmd)
                return cmd

            await end(d, far, name="far", path=["back"])
            self.next.cmd = await end(c, hop, name="hop", path=["next"])
            await end(b, hop, name="hop", path=["host"])
            self.host = await end(a, None, name="host")
            for cmd in (self.host, self.next.cmd):
                await cmd.ready()
            yield Device(self.host)


def function(code: str) -> Any:
    names = dict(NAMES)
    exec("async def example(dev, app):\n" + textwrap.indent(code, "    "), names)  # noqa: S102
    return names["example"]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ("app", "lost")])
async def test_example(name: str) -> None:
    world = World()
    with anyio.fail_after(20):
        async with world.open() as dev:
            await function(EXAMPLES[name])(dev, world.app)


@pytest.mark.parametrize("when", ["before", "behind"])
async def test_example_of_a_link_that_breaks(when: str) -> None:
    """The call is lost on its way, or the reply is."""
    world = World()
    names: dict[str, Any] = dict(NAMES)
    exec(EXAMPLES["lost"], names)  # noqa: S102
    add_once: Any = names["add_once"]
    got = []

    async def call(dev: Device) -> None:
        got.append(await add_once(dev, 5))

    with anyio.fail_after(20):
        async with world.open() as dev, rt.TaskGroup() as tasks:
            names["ready"] = world.host.ready
            (world.near.out if when == "before" else world.near.inp).held = True
            tasks.start_soon(call, dev)
            await anyio.wait_all_tasks_blocked()
            assert world.app.total == (0 if when == "before" else 5)
            assert not got
            world.near.inp.held = world.near.out.held = False
            world.near.reset()
    assert got == [5]
    assert world.app.total == 5


def test_every_example_is_run() -> None:
    code = len(re.findall(r"^```python", COMMANDS.read_text(), re.MULTILINE))
    assert code == len(EXAMPLES) + len([n for n in blocks(COMMANDS) if n.endswith(".py")])


def test_the_figures() -> None:
    served = inspect.signature(CmdMsg).parameters["max_served"].default
    assert f"serves {served} calls of a peer" in TEXT
    assert f"when {_caller._MAX_CALLS} are under way" in TEXT
