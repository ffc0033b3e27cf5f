"""docs/wire.md, the requests: each example is replayed by real ends, the tables are compared."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgpack import unpackb

from moat.micro import rt
from moat.micro.cmd import _auth, _caller, _options, _request, _wire, here
from moat.micro.cmd._request import Requests
from moat.micro.cmd.call import Call, options
from moat.micro.cmd.link import LinkCmd
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.stream import ServedStream
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import (
    CallDoneError,
    CallNotRunError,
    CallUnknownError,
    LinkReset,
    LostCallError,
)
from moat.micro.proto._msgpack import PREFIX, Decoder
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.stack import BaseBuf
from tools.docs import blocks

WIRE = Path(__file__).parents[2] / "docs" / "wire.md"
TEXT = WIRE.read_text(encoding="utf-8").partition("## Messages: requests")[2]
HOST_ID, DEVICE_ID = 0x5A6B7C8D, 0x1A2B3C4D
_VARS = vars(_wire) | vars(_auth)
NAMES = {name: value for name, value in _VARS.items() if re.fullmatch("[A-Z]+", name)}
BLOCKS = blocks(WIRE, "wire") | blocks(WIRE, "hop") | blocks(WIRE, "key")

# (direction, bytes) of each message
Sent = list[tuple[str, bytes]]


def literal(text: str) -> object:
    """The value of a message as the document writes it, with the names of the constants."""
    return ast.literal_eval(re.sub(r"\b[A-Z]{2,}\b", lambda m: str(NAMES[m[0]]), text))


def documented(name: str) -> Sent:
    """The messages of an example in the document."""
    lines = [line.split(" ", 1) for line in BLOCKS[name].splitlines()]
    return [(mark, bytes.fromhex(data)) for mark, data in lines if mark]


# ---- the conversations, replayed by the real thing


class End(BaseBuf):
    """One end of a line; what it writes is noted in `log`, and not heard before `other` is."""

    def __init__(self, mark: str, log: Sent) -> None:
        self.mark = mark
        self.log = log
        self.arrived = bytearray()
        self.changed = rt.Event()
        self.was_reset = False
        self.other: End | None = None

    async def rd(self, buf: memoryview) -> int:
        while not self.arrived and not self.was_reset:
            self.changed.clear()
            await self.changed.wait()
        if self.was_reset:
            self.was_reset = False
            raise LinkReset("the link was replaced")
        n = min(len(buf), len(self.arrived))
        buf[:n] = self.arrived[:n]
        del self.arrived[:n]
        return n

    async def wr(self, buf: bytes) -> None:
        self.changed.set()
        if self.other is not None:
            decoder = Decoder(1 << 20)  # several may leave in one piece
            decoder.feed(buf)
            while (message := decoder.next()) is not None:
                self.log.append((self.mark, bytes((PREFIX,)) + bytes(message)))
            self.other.arrived += buf
            self.other.changed.set()


class Sys(BaseCmd):
    """The commands that the examples call."""

    watched = False

    async def cmd_ping(self, m: object = None) -> object:
        return m

    async def cmd_note(self, text: str) -> None:
        pass

    async def cmd_fail(self) -> None:
        raise ValueError("too small", 5)

    async def cmd_wait(self) -> None:
        await rt.Event().wait()

    async def stream_count(self, st: ServedStream, n: int) -> str:
        for i in range(n):
            await st.send(i)
        return "done"

    async def stream_watch(self, st: ServedStream, n: int) -> None:
        for i in range(n):
            await st.send(i)
            await anyio.wait_all_tasks_blocked()  # so the line is idle
        self.watched = True

    async def stream_sum(self, st: ServedStream) -> Any:
        total: Any = 0
        async for value in st:
            total += value
        return total


class Line:
    """A host and a device that talk."""

    def __init__(self, log: Sent, marks: tuple[str, str] = (">", "<")) -> None:
        self.log = log
        self.clock = 0  # ms
        self.app = Sys()
        self.near, self.far = End(marks[0], log), End(marks[1], log)
        self.opened()

    def opened(self) -> None:
        self.near.other, self.far.other = self.far, self.near

    def tree(self) -> Dispatch:
        return Dispatch({"sys": self.app, "s": self.app})

    async def heard(self, n: int) -> None:
        """Wait for the `n`th message of an example."""
        while len(self.log) < n:
            await anyio.wait_all_tasks_blocked()


Example = Callable[[CmdMsg, Line], Awaitable[None]]


async def start(host: CmdMsg, _line: Line) -> None:
    await host.ready()


async def ping(host: CmdMsg, _line: Line) -> None:
    assert await host.call(["sys", "ping"], 7) == 7


async def ping_without_arguments(host: CmdMsg, _line: Line) -> None:
    assert await host.call(["sys", "ping"]) is None


async def letters(host: CmdMsg, _line: Line) -> None:
    assert await host.call("sping", 7) == 7


async def note(host: CmdMsg, _line: Line) -> None:
    host.notify(["sys", "note"], "hi")


async def error(host: CmdMsg, _line: Line) -> None:
    with pytest.raises(ValueError, match="too small") as caught:
        await host.call(["sys", "fail"])
    assert caught.value.args == ("too small", 5)


async def traceback(host: CmdMsg, _line: Line) -> None:
    with pytest.raises(ValueError, match="too small") as caught:
        await host.request(Call(), ["sys", "fail"], options=options(traceback=True))
    assert getattr(caught.value, "remote_traceback", "") == "Traceback: …"


async def stream(host: CmdMsg, line: Line) -> None:
    async with host.stream(["sys", "count"], 5) as values:
        await line.heard(5)
        taken = [await values.recv(), await values.recv()]
        await line.heard(8)
        assert [*taken, *[value async for value in values]] == list(range(5))
        assert values.result == "done"


async def feed(host: CmdMsg, _line: Line) -> None:
    async with host.stream(["sys", "sum"]) as values:
        for value in (4, 5):
            await values.send(value)
        await values.finish()
        with pytest.raises(EOFError):
            await values.recv()
        assert values.result == 9


async def latest(host: CmdMsg, line: Line) -> None:
    async with host.stream_with(options(keep=1), ["sys", "watch"], (8,), {}) as values:
        while not line.app.watched:
            await anyio.wait_all_tasks_blocked()
        assert [value async for value in values] == [0, 7]
        assert values.dropped == 6


async def cancel(host: CmdMsg, _line: Line) -> None:
    async with rt.TaskGroup() as tasks:
        tasks.start_soon(host.call, ["sys", "wait"])
        await anyio.wait_all_tasks_blocked()
        tasks.cancel()


async def deadline(host: CmdMsg, line: Line) -> None:
    async def late() -> None:
        with pytest.raises(TimeoutError):
            await host.request(Call(), ["sys", "wait"], options=options(deadline_ms=5))

    async with rt.TaskGroup() as tasks:
        tasks.start_soon(late)
        await anyio.wait_all_tasks_blocked()
        line.clock += 5


async def trace(host: CmdMsg, _line: Line) -> None:
    call = Call()
    assert await host.request(call, ["sys", "ping"], (7,), None, options(trace=True)) == 7
    assert call.trace == [("device", 10)]


async def outcomes(host: CmdMsg, line: Line) -> None:
    told = {}

    async def lost(number: int, *path: Any) -> None:
        try:
            await host.call(*path)
        except LostCallError as exc:
            told[number] = type(exc)

    async with rt.TaskGroup() as tasks:
        tasks.start_soon(lost, 13, ["sys", "wait"])
        await anyio.wait_all_tasks_blocked()
        line.far.other = None
        tasks.start_soon(lost, 14, ["sys", "ping"])
        await anyio.wait_all_tasks_blocked()
        line.near.other = None
        tasks.start_soon(lost, 15, ["sys", "ping"], 7)
        await anyio.wait_all_tasks_blocked()
        line.opened()
        line.near.was_reset = True
        line.near.changed.set()
    assert told == {13: CallUnknownError, 14: CallDoneError, 15: CallNotRunError}
    await host.ready()


CONVERSATION: dict[str, Example] = {
    "start": start,
    "ping": ping,
    "ping without arguments": ping_without_arguments,
    "ping by letters": letters,
    "no reply": note,
    "error": error,
    "error with its traceback": traceback,
    "stream": stream,
    "values for a command": feed,
    "the latest value": latest,
    "cancel": cancel,
    "deadline": deadline,
    "trace": trace,
    "lost": outcomes,
}


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter([DEVICE_ID, HOST_ID] * 2)
    us = iter(range(0, 1 << 20, 10))
    monkeypatch.setattr(rt, "random_bits", lambda: next(ids))
    monkeypatch.setattr(rt, "ticks_us", lambda: next(us))
    monkeypatch.setattr(here, "traceback_of", lambda exc: "Traceback: …")


@asynccontextmanager
async def device(
    line: Line, name: str, root: Any, path: str, auth: _auth.Auth | None = None
) -> AsyncIterator[None]:
    """The far end of a line; its first hello goes unheard."""
    line.far.other = None
    async with CmdMsg(MsgpackMsgBuf(line.far), root, name=name, path=[path], auth=auth):
        await anyio.wait_all_tasks_blocked()
        line.opened()
        yield


def caller(line: Line, auth: _auth.Auth | None = None) -> CmdMsg:
    limit = 1 << 20
    return CmdMsg(MsgpackMsgBuf(line.near, limit=limit), limit=limit, window=8, auth=auth)


@pytest.mark.usefixtures("clocks")
async def test_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    log: Sent = []
    line = Line(log)
    monkeypatch.setattr(rt, "ticks_ms", lambda: line.clock)
    async with device(line, "device", line.tree(), "host"):
        async with caller(line) as host:
            for name, example in CONVERSATION.items():
                await example(host, line)
                await anyio.wait_all_tasks_blocked()
                assert log == documented(name), name
                log.clear()
        await anyio.wait_all_tasks_blocked()
        assert log == documented("bye")
    assert blocks(WIRE, "wire").keys() == {*CONVERSATION, "bye"}


async def hop_ping(host: CmdMsg) -> None:
    call = Call()
    path = ["next", "sys", "ping"]
    assert await host.request(call, path, (7,), None, options(trace=True)) == 7
    assert call.trace == [("hop", 30), ("far", 10)]


async def hop_error(host: CmdMsg) -> None:
    with pytest.raises(ValueError, match="too small") as caught:
        await host.call(["next", "sys", "fail"])
    assert getattr(caught.value, "at", "") == "next"


@pytest.mark.usefixtures("clocks")
async def test_hop() -> None:
    log: Sent = []
    near, far = Line(log), Line(log, (">>", "<<"))
    link = LinkCmd()
    hop = Dispatch({"next": link})
    async with (
        device(far, "far", far.tree(), "back"),
        caller(far) as link.cmd,
        device(near, "hop", hop, "back"),
        caller(near) as host,
    ):
        await host.ready()
        await link.cmd.ready()
        await anyio.wait_all_tasks_blocked()
        for name, example in {"ping": hop_ping, "error": hop_error}.items():
            log.clear()
            await example(host)
            await anyio.wait_all_tasks_blocked()
            assert log == documented(f"a hop, {name}")


@pytest.mark.parametrize("name", BLOCKS)
def test_an_example_is_what_it_is_said_to_be(name: str) -> None:
    lines = BLOCKS[name].splitlines()
    assert len(lines) == 2 * len(documented(name))
    for (_, message), value in zip(documented(name), lines[1::2], strict=True):
        assert message[0] == PREFIX
        assert unpackb(message[1:], strict_map_key=False) == literal(value.strip())


# ---- the parts


def table(title: str) -> list[tuple[str, int]]:
    """The names and numbers of a table in the document."""
    text = TEXT.partition(f"| {title} |")[2].partition("\n\n")[0]
    return [(name, int(n)) for name, n in re.findall(r"^\| ([A-Z]+) \| (\d+) \|", text, re.M)]


def test_table_of_kinds() -> None:
    kinds = set(Requests._TABLE) | {_wire.HELLO, _wire.BYE}
    assert {n for _, n in table("kind")} == kinds
    assert all(NAMES[name] == n for name, n in table("kind"))
    assert f"The version is {_wire.VERSION}." in TEXT


def test_tables_of_options_and_features() -> None:
    names = ["DEADLINE", "TRACE", "TRACEBACK", "KEEP", "AT"]
    assert table("option") == [(name, NAMES[name]) for name in names]
    names = ["DONE", "BEGUN", "NONCE", "PROOF", "FOR"]
    assert table("feature") == [(name, NAMES[name]) for name in names]


def test_the_figures() -> None:
    text = " ".join(TEXT.split())
    assert f"the last {_wire.RECENT} calls" in text
    assert f"less than {_wire.RECENT} calls" in text
    assert f"at most {_caller._MAX_CALLS} calls" in text
    assert f"at most {_options.LONGEST:,} ms" in text
    assert f"{_request.HEADER} bytes of the limit" in text
    assert f"At most {inspect.signature(CmdMsg).parameters['max_served'].default} calls" in text
