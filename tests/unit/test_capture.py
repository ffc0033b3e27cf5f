"""Captures of streams, and their replay."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgpack import packb

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import InUseError, LinkLost, LinkReset
from moat.micro.proto.capture import Capture, Record, read_capture
from moat.micro.proto.log import LogBlk, LogBuf, LogMsg
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.testing.replay import ReplayBlk, ReplayBuf, ReplayError, ReplayMsg
from tests.both._blocks import blk_pair
from tests.both._memory import pair
from tests.unit.streams import rd
from tools.docs import blocks

WIRE = Path(__file__).parents[2] / "docs" / "wire.md"
HEADER = {"moat-capture": 1, "name": "", "time": ""}


def written(path: Path, *records: Iterable[Any], header: Any = HEADER) -> Path:
    """A capture file with these records: op, data, error."""
    lines = [json.dumps(header)] + [json.dumps([0, *record]) for record in records]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture.jsonl"


# ---- a session, captured and replayed


async def test_replayed_messages_are_the_captured_ones(path: Path) -> None:
    msgs = [None, "tést", b"\xc1\x03", [1, [2]], {"a": 1.5}, "x" * 1000]
    a, b = pair(chunk=7)
    with Capture(path, "usb") as capture:
        near = MsgpackMsgBuf(LogBuf(a, sink=capture))
        async with near, MsgpackMsgBuf(b) as far:
            for msg in msgs:
                await near.send(["query", msg])
                assert await far.recv() == ["query", msg]
                await far.cwr(b"text\n")
                await far.send(msg)
                assert await near.recv() == msg
    replay = ReplayBuf(path)
    async with MsgpackMsgBuf(replay, chunk=50) as near:
        for msg in msgs:
            await near.send(["query", msg])
            assert await near.recv() == msg
        assert replay.unused == 0
        text = bytearray(1000)
        assert text[: await near.crd(text)] == b"text\n" * len(msgs)
        with pytest.raises(EOFError):
            await near.recv()


class Adder(BaseCmd):
    async def cmd_add(self, a: int, b: int) -> int:
        return a + b


async def test_replayed_session_answers_calls(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter([0x1A2B3C4D, 0x5A6B7C8D, 0x1A2B3C4D])  # the last one for the replay
    monkeypatch.setattr(rt, "random_bits", lambda: next(ids))
    a, b = pair(hangs_up=False)
    with Capture(path) as capture:
        async with CmdMsg(LogMsg(MsgpackMsgBuf(a), sink=capture)) as near:
            await anyio.wait_all_tasks_blocked()
            async with CmdMsg(MsgpackMsgBuf(b), Dispatch({"app": Adder()})):
                await near.ready()
                assert await near.call(["app", "add"], 1, 2) == 3
                assert await near.call(["app", "add"], 3, b=4) == 7
    replay = ReplayMsg(path)
    async with CmdMsg(replay) as near:
        await near.ready()
        assert await near.call(["app", "add"], 1, 2) == 3
        assert await near.call(["app", "add"], 3, b=4) == 7
    assert replay.unused == 0


async def test_blocks_errors_and_console_are_replayed(path: Path) -> None:
    a, b = blk_pair()
    with Capture(path) as capture:
        async with LogBlk(a, sink=capture) as s, b:
            await s.snd(b"out")
            await s.cwr(b"text")
            for what in (b"", b"in", LinkReset("again"), b"more", LinkLost("gone")):
                a.inject(what)
                try:
                    await s.rcv()
                except (LinkReset, LinkLost):
                    pass
            a.text.extend(b"abc")
            await s.crd(bytearray(10))
    replay = ReplayBlk(path)
    async with replay as s:
        await s.snd(b"out")
        await s.cwr(b"tex")
        await s.cwr(b"t")
        assert [await s.rcv(), await s.rcv()] == [b"", b"in"]
        with pytest.raises(LinkReset, match="again"):
            await s.rcv()
        assert await s.rcv() == b"more"
        with pytest.raises(LinkLost, match="gone"):
            await s.rcv()
        with pytest.raises(EOFError):
            await s.rcv()
        buf = bytearray(2)
        assert [await s.crd(buf), await s.crd(buf)] == [2, 1]
        assert replay.unused == 0


async def test_what_messagepack_cannot_express_does_no_harm(path: Path) -> None:
    a, _ = pair()
    with Capture(path) as capture:
        async with LogMsg(MsgpackMsgBuf(a), sink=capture) as s:
            with pytest.raises(TypeError):
                await s.send([object()])
            await s.send(1)
            assert s.failed is None
    ops = [(r.op, r.error and r.error[0]) for r in read_capture(path)]
    assert ops == [
        ("enter", None),
        ("send", None),
        ("send", "TypeError"),
        ("send", None),
        ("leave", None),
    ]


# ---- the order of reads and writes


async def test_a_read_waits_for_what_was_written_before_it(path: Path) -> None:
    written(path, ["enter"], ["rd", "01"], ["wr", "0203"], ["wr", "04"], ["rd", "05"])
    async with ReplayBuf(path) as s, rt.TaskGroup() as tasks:
        assert await rd(s) == b"\1"
        found: list[bytes] = []

        async def read() -> None:
            found.append(await rd(s))

        tasks.start_soon(read)
        for data in (b"\2", b"\3", b""):
            await s.wr(data)
            await anyio.wait_all_tasks_blocked()
            assert found == []
            with pytest.raises(InUseError):
                await rd(s)
        await s.wr(b"\4")
        await anyio.wait_all_tasks_blocked()
        assert found == [b"\5"]


async def test_a_cancelled_read_loses_nothing(path: Path) -> None:
    written(path, ["enter"], ["wr", "01"], ["rd", "02"])
    async with ReplayBuf(path) as s, rt.TaskGroup() as tasks:
        task = tasks.start_soon(rd, s)
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        await s.wr(b"\1")
        assert await rd(s) == b"\2"


async def test_writes_may_be_cut_differently_but_not_differ(path: Path) -> None:
    written(path, ["enter"], ["wr", "010203"], ["wr", "0405"], ["rd", "07"])
    async with ReplayBuf(path) as s:
        await s.wr(b"\1")
        await s.wr(b"\2\3\4")
        with pytest.raises(ReplayError, match=r"wr number 2 .*\n.*captured: 05\n.*written:  06"):
            await s.wr(b"\6")
        with pytest.raises(ReplayError, match="wr number 2"):
            await rd(s)


@pytest.mark.parametrize(
    ("captured", "sent", "message"),
    [
        ([1, {"a": b"x"}], [1, {"a": b"y"}], r"captured: \[1, {'a': b'x'}\]"),
        (1, None, "written:  None"),
        (None, [1], r"captured: None"),
    ],
)
async def test_messages_may_not_differ(
    path: Path, captured: object, sent: object, message: str
) -> None:
    written(path, ["enter"], ["send", packb(captured).hex()])
    async with ReplayMsg(path) as s:
        with pytest.raises(ReplayError, match=message):
            await s.send(sent)


async def test_messages_may_differ_in_the_order_of_their_keys(path: Path) -> None:
    written(path, ["enter"], ["send", packb({"a": 1, "b": [2]}).hex()])
    async with ReplayMsg(path) as s:
        await s.send({"b": (2,), "a": 1})


async def test_more_than_was_captured_is_a_difference(path: Path) -> None:
    written(path, ["enter"], ["snd", "01"])
    async with ReplayBlk(path) as s:
        await s.snd(b"\1")
        with pytest.raises(ReplayError, match="captured: nothing more"):
            await s.snd(b"\2")
    written(path, ["enter"], ["wr", "01"])
    async with ReplayBuf(path) as s:
        with pytest.raises(ReplayError, match="captured: nothing more"):
            await s.wr(b"\1\2")


async def test_a_difference_wakes_a_reader_that_waits(path: Path) -> None:
    written(path, ["enter"], ["wr", "01"], ["rd", "02"])
    told = anyio.Event()

    async def read(s: ReplayBuf) -> None:
        with pytest.raises(ReplayError):
            await rd(s)
        told.set()

    async with ReplayBuf(path) as s, rt.TaskGroup() as tasks:
        tasks.start_soon(read, s)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ReplayError):
            await s.wr(b"\2")
        await told.wait()


async def test_writes_can_be_ignored(path: Path) -> None:
    written(path, ["enter"], ["wr", "01"], ["wr", None, ["LinkLost", ""]], ["rd", "02"])
    replay = ReplayBuf(path, compare=False)
    async with replay as s:
        assert await rd(s) == b"\2"
        await s.wr(b"anything")
    assert replay.unused == 0


async def test_errors_of_writes_are_replayed(path: Path) -> None:
    errors = ["LinkReset", "cut"], ["OSError", "full"]
    written(path, ["enter"], ["wr", None, errors[0]], ["wr", "0102"], ["wr", None, errors[1]])
    async with ReplayBuf(path) as s:
        with pytest.raises(LinkReset, match="cut"):
            await s.wr(b"\1")
        await s.wr(b"\1")
        with pytest.raises(OSError, match="full"):
            await s.wr(b"\2")


async def test_sessions_are_played_one_after_the_other(path: Path) -> None:
    written(path, ["enter"], ["rd", "01"], ["leave"], ["enter", None, ["LinkLost", "no"]],
        ["enter"], ["rd", "02"], ["leave", None, ["ValueError", ""]])  # fmt: skip
    replay = ReplayBuf(path)
    assert replay.unused == 2
    async with replay as s:
        assert await rd(s) == b"\1"
    with pytest.raises(LinkLost, match="no"):
        async with replay:
            pass
    async with replay as s:
        assert await rd(s) == b"\2"
        with pytest.raises(EOFError):
            await rd(s)
    with pytest.raises(LinkLost, match="no more sessions"):
        async with replay:
            pass
    assert replay.unused == 0


# ---- the file


def test_the_documented_capture_is_what_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000]
    monkeypatch.setattr(rt, "ticks_ms", lambda: now[0])
    with Capture(path, "usb") as capture:
        rt.run(ping, capture, now)
    header, *records = path.read_text().splitlines()
    documented, *examples = blocks(WIRE, "capture")["a ping"].splitlines()
    assert records == examples
    for line in (header, documented):
        first = json.loads(line)
        assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
        assert first == {"moat-capture": 1, "name": "usb"}


async def ping(capture: Capture, now: list[int]) -> None:
    a, b = pair()
    async with LogBuf(a, sink=capture) as s, b:
        now[0] += 12
        await s.wr(b"\xc1\x93\x01\x01\x92\xa3sys\xa4ping")
        now[0] += 3
        await b.wr(b"\xc1\x92\x02\x01")
        await rd(s)
        now[0] += 5000
        a.cut()
        with pytest.raises(LinkLost):
            await rd(s)


def test_an_incomplete_last_line_is_left_out(path: Path) -> None:
    written(path, ["enter"], ["rd", "0102"])
    text = path.read_text()
    for n in range(1, 10):
        path.write_text(text[:-n])
        assert read_capture(path) == [Record(0, "enter")]


def test_elements_behind_the_known_ones_are_ignored(path: Path) -> None:
    written(path, ["rd", "01", None, "more"], header={**HEADER, "more": 1})
    assert read_capture(path) == [Record(0, "rd", b"\1")]


@pytest.mark.parametrize("text", ["", "\n", "x\n", "[]\n", "{}\n", "1\n"])
def test_what_is_no_capture_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match="no capture file"):
        read_capture(path)


@pytest.mark.parametrize("line", ["x", "[]", "[1]", '[1, "rd", "zz"]', '[1, "rd", null, []]', "7"])
def test_a_broken_record_is_refused_with_its_line(path: Path, line: str) -> None:
    written(path, ["enter"])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r":3: "):
        read_capture(path)


def test_another_version_is_refused(path: Path) -> None:
    written(path, header={**HEADER, "moat-capture": 2})
    with pytest.raises(ValueError, match="version 2"):
        read_capture(path)


@pytest.mark.parametrize("cls", [ReplayBuf, ReplayBlk, ReplayMsg])
def test_another_kind_of_stream_is_refused(path: Path, cls: type[ReplayBuf]) -> None:
    other = "rcv" if cls is ReplayBuf else "rd"
    written(path, ["enter"], [other, "01"])
    with pytest.raises(ValueError, match=f"'{other}'"):
        cls(path)
    written(path, ["rd", "01"])
    with pytest.raises(ValueError, match="before"):
        cls(path)
