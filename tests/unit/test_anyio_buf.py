"""AnyioBuf and SingleAnyioBuf, and anyio's errors. On asyncio and on trio."""

from __future__ import annotations

import errno
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.proto import stream
from moat.micro.proto.stream import AnyioBuf, SingleAnyioBuf
from tests.unit.streams import rd, rd_until, second_reader_is_refused


class Failing(ByteStream):
    """A stream of which every call raises `exc`."""

    def __init__(self, exc):
        self.exc = exc
        self.closed = 0

    async def receive(self, max_bytes=65536):
        raise self.exc

    async def send(self, item) -> None:
        raise self.exc

    async def send_eof(self):
        raise self.exc

    async def aclose(self):
        self.closed += 1


def caused(exc, cause):
    """`exc`, raised from `cause`."""
    exc.__cause__ = cause
    return exc


RESET = OSError(errno.ECONNRESET, "Connection reset by peer")

# anyio's error -> what reading and writing raise, and what the message says
ERRORS = [
    (anyio.EndOfStream(), EOFError, LinkLost, "the link is broken"),
    (anyio.BrokenResourceError(), LinkLost, LinkLost, "the link is broken"),
    (caused(anyio.BrokenResourceError(), RESET), LinkLost, LinkLost, "Connection reset by peer"),
    (anyio.ClosedResourceError(), LinkLost, LinkLost, "it is closed"),
    (anyio.BusyResourceError("reading"), InUseError, InUseError, "already reading"),
    (RESET, LinkLost, LinkLost, "Connection reset by peer"),
]


@pytest.mark.parametrize(("exc", "reading", "writing", "text"), ERRORS)
@pytest.mark.parametrize("name", [None, "somewhere"])
async def test_errors_are_translated(exc, reading, writing, text, name):
    async with SingleAnyioBuf(Failing(exc), name) as buf:
        with pytest.raises(reading) as info:
            await rd(buf)
        if reading is LinkLost:
            assert str(info.value) == (f"{name}: {text}" if name else text)
        with pytest.raises(writing, match=text):
            await buf.wr(b"x")


async def test_another_error_comes_out_as_it_is():
    async with SingleAnyioBuf(Failing(ValueError("a bug"))) as buf:
        with pytest.raises(ValueError, match="a bug"):
            await rd(buf)
        with pytest.raises(ValueError, match="a bug"):
            await buf.wr(b"x")


# ---- SingleAnyioBuf


@asynccontextmanager
async def served(handler):
    """A TCP server of anyio's that runs `handler` with each client; gives a stream to it."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(listener.serve, handler)
            async with await anyio.connect_tcp("127.0.0.1", port) as client:
                yield client
            tasks.cancel()


async def test_a_handler_of_a_network_server():
    async def echo(client):
        async with SingleAnyioBuf(client, "the client") as buf:
            try:
                while True:
                    await buf.wr(await rd(buf))
            except EOFError:
                ended.append(True)

    ended = []
    async with served(echo) as client:
        buf = SingleAnyioBuf(client)
        async with buf as same:
            assert same is buf
            await buf.wr(bytearray(b"hello"))
            assert await rd_until(buf, b"o") == b"hello"
        with anyio.fail_after(5):
            while not ended:  # noqa: ASYNC110 -- the system has to do something for it
                await anyio.sleep(0.001)


async def test_it_can_be_entered_once():
    raw = Failing(anyio.EndOfStream())
    buf = SingleAnyioBuf(raw, "x")
    async with buf:
        with pytest.raises(InUseError):
            await buf.__aenter__()
        assert not raw.closed
    assert raw.closed == 1
    with pytest.raises(LinkLost, match="x: it is closed, and cannot be opened again"):
        await buf.__aenter__()
    assert raw.closed == 1


async def test_closed_it_neither_reads_nor_writes():
    raw = Failing(ValueError())
    buf = SingleAnyioBuf(raw, "x")
    await buf.aclose()
    await buf.aclose()
    assert raw.closed == 1
    with pytest.raises(LinkLost, match="x: it is closed"):
        await rd(buf)
    with pytest.raises(LinkLost, match="x: it is closed"):
        await buf.wr(b"x")


@pytest.mark.parametrize("how", ["cancel", "error"])
async def test_however_it_is_left_the_stream_is_closed(how):
    raw = Failing(anyio.EndOfStream())
    with anyio.CancelScope() as scope:
        try:
            async with SingleAnyioBuf(raw):
                if how == "error":
                    raise KeyError
                scope.cancel()
                await anyio.sleep_forever()
        except KeyError:
            assert how == "error"
    assert raw.closed == 1


async def test_closing_does_not_wait_for_ever(monkeypatch):
    class Stubborn(Failing):
        async def aclose(self):
            await anyio.sleep_forever()

    monkeypatch.setattr(stream, "_CLOSE_S", 0.01)
    with anyio.fail_after(5):
        async with SingleAnyioBuf(Stubborn(anyio.EndOfStream())):
            pass


async def test_a_second_reader_of_a_client_is_refused():
    async def hello(client):
        async with SingleAnyioBuf(client) as buf:
            await go.wait()
            await buf.wr(b"hello")

    go = anyio.Event()

    async def wake():
        go.set()

    async with served(hello) as client, SingleAnyioBuf(client) as buf:
        await second_reader_is_refused(buf, wake)


# ---- cancelled writes


async def unix_pair(tmp_path):
    """Two connected streams of anyio over a named socket."""
    streams = []

    async def accept(client):
        streams.append(client)
        accepted.set()
        await anyio.sleep_forever()

    accepted = anyio.Event()
    path = tmp_path / "socket"
    async with await anyio.create_unix_listener(path) as listener, rt.TaskGroup() as tasks:
        tasks.start_soon(listener.serve, accept)
        streams.append(await anyio.connect_unix(path))
        await accepted.wait()
        yield streams
        tasks.cancel()


async def test_a_cancelled_write_to_a_named_socket_is_sent_as_a_whole(tmp_path):
    size = 2_000_000

    async def write():
        with scope:
            await buf.wr(b"\1" * size)

    scope = anyio.CancelScope()
    pair = asynccontextmanager(unix_pair)
    async with pair(tmp_path) as (one, peer):
        buf = AnyioBuf()
        buf.s = one
        async with peer, one, rt.TaskGroup() as tasks:
            tasks.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(5):
                got = b""
                while len(got) < size:
                    got += await peer.receive()
                await anyio.wait_all_tasks_blocked()
                await buf.wr(b"next")
                while len(got) < size + 4:
                    got += await peer.receive()
        assert got == b"\1" * size + b"next"


async def test_what_was_written_may_be_changed_afterwards():
    sent = []

    class Keeping(Failing):
        async def send(self, item) -> None:
            sent.append(item)

    async with SingleAnyioBuf(Keeping(None)) as buf:
        data = bytearray(b"one")
        await buf.wr(memoryview(data))
        data[:] = b"two"
    assert sent == [b"one"]
