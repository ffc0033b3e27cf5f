"""Fault injection: the layers, on asyncio and trio, and in virtual time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from moat.micro import rt
from moat.micro.errors import LinkLost, LinkReset, MessageTooLongError
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.testing import faults, memory
from moat.micro.testing.faults import FaultBlk, FaultBuf, FaultMsg, Faults, Injector
from moat.micro.testing.memory import blk_pair, buf_pair, msg_pair

VIRTUAL = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual"]
)


async def numbers(link):
    """Receive until the end."""
    found = []
    try:
        while True:
            found.append(await link.recv())
    except EOFError:
        return found


async def run_example(text: str, first: str) -> dict[str, Any]:
    """Run the indented lines of `text` that begin with the line `first`; returns its names."""
    start = text.index("\n    " + first)
    lines = text[start + 1 :].split("\n")
    end = next((i for i, x in enumerate(lines) if x and x[:4] != "    "), len(lines))
    names: dict[str, Any] = {**globals()}
    exec("async def run():\n" + "\n".join(lines[:end]) + "\n    return locals()", names)  # noqa: S102
    return await names["run"]()


async def test_the_example():
    assert faults.__doc__
    names = await run_example(faults.__doc__, "a, b = blk_pair()")
    assert names["line"].out.counts.lost > 0


async def test_the_example_of_the_documents(capsys: pytest.CaptureFixture[str]):
    file = Path(__file__).parents[2] / "docs" / "testing.md"
    await run_example(file.read_text(), "from moat.micro.testing.faults import")
    assert "Counts(units=1" in capsys.readouterr().out


async def test_the_example_of_the_streams_in_memory():
    assert memory.__doc__
    await run_example(memory.__doc__, "a, b = buf_pair()")


@pytest.mark.parametrize("side", ["out", "inp"])
async def test_each_direction_has_its_faults(side):
    a, b = msg_pair(size=1000)
    bad: dict[str, Any] = {side: Faults(loss=0.2, duplicate=0.2)}
    line = FaultMsg(a, 3, **bad)
    async with line, b:
        for i in range(100):
            await (line.send(i) if side == "out" else b.send(i))
        if side == "out":
            found = list(b.inp.data)
        else:
            found = [await line.recv() for _ in range(100 - 20)]
    counts = getattr(line, side).counts
    assert counts.lost > 5
    assert counts.duplicated > 5
    same = Injector(bad[side], f"3/{side}", of_bytes=False)
    expected = [unit for i in range(100) for _, unit in same.feed(i, 0)]
    assert found == expected[: len(found)]
    other = line.inp if side == "out" else line.out
    assert other.counts.units == 0


async def test_a_codec_gets_over_what_happens_to_bytes():
    a, b = buf_pair()
    noisy = FaultBuf(a, 5, out=Faults(flip=0.005, drop=0.005))
    found = []

    async def receive(link):
        found.extend(await numbers(link))

    two = MsgpackMsgBuf(b, gap_ms=1)
    async with rt.TaskGroup() as tasks, two:
        tasks.start_soon(receive, two)
        async with MsgpackMsgBuf(noisy) as one:
            for i in range(300):
                await one.send([i, "some text"])
    counts = noisy.out.counts
    assert counts.flipped > 3
    assert counts.dropped > 3
    assert 150 < len([msg for msg in found if msg in [[i, "some text"] for i in range(300)]]) < 300


async def test_faults_can_change_on_the_way():
    a, b = msg_pair()
    async with FaultMsg(a, out=Faults(loss=1)) as line, b:
        await line.send(1)
        line.out.faults = Faults()
        await line.send(2)
        assert await b.recv() == 2


async def test_a_cut_line_loses_all_until_it_is_restored():
    a, b = msg_pair()
    async with FaultMsg(a) as line, b:
        line.cut()
        await line.send(1)
        await b.send(2)
        with anyio.move_on_after(0.01):
            await line.recv()
        line.restore()
        await line.send(3)
        await b.send(4)
        assert await b.recv() == 3
        assert await line.recv() == 4
    assert line.out.counts.cut == line.inp.counts.cut == 1


@VIRTUAL
async def test_a_delay_takes_its_time_and_no_writer():
    a, b = msg_pair()
    async with FaultMsg(a, out=Faults(delay_ms=5000), inp=Faults(delay_ms=7000)) as line, b:
        began = anyio.current_time()
        for i in range(3):
            await line.send(i)
            await b.send(i)
        assert anyio.current_time() == began
        assert [await b.recv() for _ in range(3)] == [0, 1, 2]
        assert anyio.current_time() == pytest.approx(began + 5)
        assert [await line.recv() for _ in range(3)] == [0, 1, 2]
        assert anyio.current_time() == pytest.approx(began + 5 + 7)  # from when it was read


@VIRTUAL
async def test_a_slow_line_makes_the_writer_wait():
    a, b = buf_pair()
    async with FaultBuf(a, out=Faults(rate=100, delay_ms=500)) as line, b:
        began = anyio.current_time()
        await line.wr(bytes(200))
        assert anyio.current_time() == pytest.approx(began + 2)
        await line.wr(bytes(100))
        assert anyio.current_time() == pytest.approx(began + 3)
        assert len(b.inp.data) == 200
        await anyio.sleep(0.6)
        assert len(b.inp.data) == 300


@VIRTUAL
async def test_what_is_held_back_is_overtaken():
    a, b = msg_pair(size=100)
    async with FaultMsg(a, 2, out=Faults(reorder=0.2, reorder_ms=5000)) as line, b:
        for i in range(50):
            await line.send(i)
            await anyio.sleep(0.1)
        await anyio.sleep(6)
        found = list(b.inp.data)
    assert sorted(found) == list(range(50))
    late = [x for x, y in pairwise(found) if x > y]
    assert 3 < len(late) <= line.out.counts.reordered


@VIRTUAL
async def test_what_is_on_its_way_when_the_line_is_cut_is_lost():
    a, b = msg_pair()
    async with FaultMsg(a, out=Faults(delay_ms=1000)) as line, b:
        await line.send(1)
        line.cut()
        await anyio.sleep(2)
        line.restore()
        await line.send(2)
        assert await b.recv() == 2
    assert line.out.counts.cut == 1


@VIRTUAL
async def test_the_number_of_units_on_their_way_is_limited():
    a, b = msg_pair()
    sent = []

    async def send(link):
        for i in range(10):
            await link.send(i)
            sent.append(i)

    async with FaultMsg(a, out=Faults(delay_ms=100), size=4) as line, b, rt.TaskGroup() as tasks:
        tasks.start_soon(send, line)
        await anyio.sleep(0.05)
        assert len(sent) == 4
        assert [await b.recv() for _ in range(10)] == list(range(10))


@VIRTUAL
async def test_leaving_waits_for_what_is_on_its_way():
    a, b = msg_pair()
    async with b:
        async with FaultMsg(a, out=Faults(delay_ms=900)) as line:
            await line.send(1)
        assert await b.recv() == 1
        with pytest.raises(EOFError):
            await b.recv()


@VIRTUAL
async def test_leaving_does_not_wait_for_ever():
    a, b = msg_pair()
    async with b:
        began = anyio.current_time()
        async with FaultMsg(a, out=Faults(delay_ms=5000)) as line:
            await line.send(1)
        assert anyio.current_time() == pytest.approx(began + 1)


@VIRTUAL
async def test_an_error_of_what_was_delayed_is_raised_by_the_next_call():
    a, b = msg_pair()
    async with FaultMsg(a, out=Faults(delay_ms=10)) as line, b:
        await line.send(1)
        a.break_()
        await anyio.sleep(1)
        with pytest.raises(LinkLost):
            await line.send(2)


async def test_what_is_too_long_is_refused_at_once():
    a, b = blk_pair(limit=5)
    async with FaultBlk(a) as line, b:
        with pytest.raises(MessageTooLongError):
            await line.snd(b"123456")
        await line.snd(b"12345")
        assert await b.rcv() == b"12345"


@VIRTUAL
async def test_the_end_comes_after_what_is_on_its_way():
    a, b = msg_pair()
    async with FaultMsg(a, inp=Faults(delay_ms=50)) as line:
        async with b:
            await b.send(1)
            await b.send(2)
        assert await numbers(line) == [1, 2]


@VIRTUAL
async def test_a_reset_loses_what_is_on_its_way():
    a, b = msg_pair()
    async with FaultMsg(a, inp=Faults(delay_ms=50)) as line, b:
        await b.send(1)
        with anyio.move_on_after(0.01):
            await line.recv()
        a.reset()
        with pytest.raises(LinkReset):
            await line.recv()
        await b.send(2)
        assert await line.recv() == 2


def test_a_message_has_no_bytes_to_be_damaged():
    a, _ = msg_pair()
    for bad in (Faults(flip=0.1), Faults(drop=0.1)):
        with pytest.raises(ValueError, match="a message has no bytes"):
            FaultMsg(a, inp=bad)
