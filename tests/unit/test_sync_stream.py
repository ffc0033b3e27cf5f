"""SyncStream: synchronous code reads and writes a byte stream."""

from __future__ import annotations

import io
import sys

import anyio
import greenback
import msgpack
import pytest

from moat.micro import rt
from moat.micro.errors import LinkLost
from moat.micro.proto.stream import SyncStream
from tests.both._memory import MemBuf, pair
from tests.unit.streams import rd


async def test_an_unpacker_reads_messages_from_one() -> None:
    msgs = [1, "tést", b"x" * 5000, [1, {"a": None}], "last"]
    a, b = pair(size=100, chunk=7)

    async def write() -> None:
        async with b:
            for msg in msgs:
                await b.wr(msgpack.packb(msg))

    await greenback.ensure_portal()
    async with a, rt.TaskGroup() as tasks:
        tasks.start_soon(write)
        assert list(msgpack.Unpacker(SyncStream(a))) == msgs


async def test_a_packer_writes_messages_to_one() -> None:
    a, b = pair()
    await greenback.ensure_portal()
    async with a, b:
        msgpack.pack([1, "x"], SyncStream(a))
        assert await rd(b) == msgpack.packb([1, "x"])


async def test_other_tasks_run_while_it_waits() -> None:
    a, b = pair()
    log: list[str] = []

    async def answer() -> None:
        await anyio.wait_all_tasks_blocked()
        log.append("others run")
        await b.wr(b"data")

    await greenback.ensure_portal()
    async with a, b, rt.TaskGroup() as tasks:
        tasks.start_soon(answer)
        log.append(SyncStream(a).read(10).decode())
    assert log == ["others run", "data"]


async def test_reads_return_what_is_there_and_nothing_at_the_end() -> None:
    a, b = pair()
    await greenback.ensure_portal()
    async with a:
        async with b:
            await b.wr(b"abcdef")
        file = SyncStream(a)
        buf = bytearray(4)
        assert file.read(2) == b"ab"
        assert file.read(0) == b""
        assert file.readinto(buf) == 4
        assert buf == b"cdef"
        assert file.read(10) == b""
        assert file.readinto(buf) == 0
        assert file.readall() == b""


async def test_readall_reads_to_the_end() -> None:
    a, b = pair(chunk=10)
    await greenback.ensure_portal()
    async with a:
        async with b:
            await b.wr(b"x" * 1000)
        assert SyncStream(a).read() == b"x" * 1000


async def test_buffered_it_gives_lines() -> None:
    a, b = pair(chunk=3)
    await greenback.ensure_portal()
    async with a:
        async with b:
            await b.wr(b"one\ntwo\nthree")
        text = io.TextIOWrapper(io.BufferedReader(SyncStream(a)), "utf-8")
        assert list(text) == ["one\n", "two\n", "three"]


async def test_writes_take_any_bytes() -> None:
    a, b = pair()
    await greenback.ensure_portal()
    async with a, b:
        with SyncStream(a) as file:
            for data in (b"a", bytearray(b"b"), memoryview(b"cd")):
                assert file.write(data) == len(data)
            assert file.write(b"") == 0
            file.flush()
        assert await rd(b) == b"abcd"


async def test_errors_are_raised_as_they_are() -> None:
    a, _ = pair()
    await greenback.ensure_portal()
    async with a:
        file = SyncStream(a)
        a.cut()
        with pytest.raises(LinkLost, match="cut"):
            file.read(1)
        with pytest.raises(LinkLost, match="cut"):
            file.write(b"x")


async def test_a_cancelled_read_loses_nothing() -> None:
    a, b = pair()
    await greenback.ensure_portal()
    async with a, b:
        file = SyncStream(a)
        with anyio.CancelScope() as scope:  # noqa: ASYNC100 -- the read waits
            scope.cancel()
            file.read(1)
        assert scope.cancelled_caught
        await b.wr(b"x")
        assert file.read(1) == b"x"


async def test_closed_it_refuses_and_leaves_the_stream_open() -> None:
    a, b = pair()
    await greenback.ensure_portal()
    async with a, b:
        file = SyncStream(a)
        file.close()
        file.close()
        for use in (file.read, file.flush, lambda: file.write(b"x")):
            with pytest.raises(ValueError, match="closed"):
                use()
        await a.wr(b"x")
        assert await rd(b) == b"x"


def check_refused(a: MemBuf) -> None:
    for use in (SyncStream(a).read, lambda: SyncStream(a).write(b"x")):
        with pytest.raises(RuntimeError, match=r"await greenback\.ensure_portal\(\)"):
            use()


async def test_without_a_portal_the_error_names_the_remedy() -> None:
    a, _ = pair()
    async with a:
        check_refused(a)


def test_outside_of_an_event_loop_the_error_is_the_same() -> None:
    check_refused(rt.run(made))


async def made() -> MemBuf:
    return pair()[0]


async def test_without_greenback_the_error_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "greenback", None)
    with pytest.raises(ImportError, match=r"moat-satellite\[sync\]"):
        SyncStream(pair()[0])
