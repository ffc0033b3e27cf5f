"""FileBuf, AIOBuf and SingleAIOBuf, which are the device's."""

import sys

from _helpers import raises, settle
from _net import rd, rd_exactly

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.proto import stream

ON_DEVICE = sys.implementation.name == "micropython"

if ON_DEVICE:
    import asyncio
    import io
    import socket

    class Scripted(io.IOBase):
        """A stream that takes and gives as it is told: a count, None, or an error."""

        def __init__(self):
            self.reads = []
            self.writes = []
            self.written = b""
            self.closed = False

        def ioctl(self, req, arg):
            return arg if req == 3 else 0  # always ready

        def readinto(self, buf):
            res = self.reads.pop(0)
            if isinstance(res, bytes):
                buf[: len(res)] = res
                res = len(res)
            return self._result(res)

        def write(self, buf):
            n = self.writes.pop(0) if self.writes else len(buf)
            if isinstance(n, int):
                n = min(n, len(buf))
                self.written += bytes(buf[:n])
            return self._result(n)

        def close(self):
            self.closed = True

        def _result(self, res):
            if isinstance(res, Exception):
                raise res
            return res

    class File(stream.FileBuf):
        """A FileBuf over a stream."""

        def __init__(self, raw):
            self.raw = raw

        @rt.asynccontextmanager
        async def _ctx(self):
            self.s = self.raw
            yield self

    def single(raw):
        """A SingleAIOBuf over a stream."""
        return stream.SingleAIOBuf(asyncio.StreamReader(raw), "x")

    KINDS = (File, single)


async def test_what_is_not_there_yet_is_waited_for():
    for kind in KINDS:
        raw = Scripted()
        raw.reads = [None, None, b"hello", b"", OSError(5)]
        async with kind(raw) as buf:
            assert await rd(buf) == b"hello"
            with raises(EOFError):
                await rd(buf)
            with raises(LinkLost):
                await rd(buf)


async def test_a_write_goes_on_until_all_is_taken():
    for kind in KINDS:
        raw = Scripted()
        raw.writes = [3, None, 0, 2]
        async with kind(raw) as buf:
            await buf.wr(b"0123456789")
            assert raw.written == b"0123456789"
            raw.writes = [OSError(32)]
            with raises(LinkLost):
                await buf.wr(b"x")


async def test_a_cancelled_write_is_neither_lost_nor_sent_twice():
    for kind in KINDS:
        raw = Scripted()
        async with kind(raw) as buf:
            await cut_short(buf, raw)
            assert raw.written == b"012"
            await buf.wr(b"next")
            assert raw.written == b"0123456789next"


async def cut_short(buf, raw):
    """Write ten bytes, of which three are taken."""
    raw.writes = [3] + [None] * 1000
    async with rt.TaskGroup() as tasks:
        task = tasks.start_soon(buf.wr, b"0123456789")
        await settle()
        task.cancel()
    raw.writes = []


async def test_the_rest_of_a_write_is_dropped_when_it_is_opened_again():
    raw = Scripted()
    buf = File(raw)
    async with buf:
        await cut_short(buf, raw)
    async with buf:
        await buf.wr(b"new")
    assert raw.written == b"012new"


async def test_the_rest_of_a_write_stays_when_somebody_tries_to_open_it_again():
    raw = Scripted()
    buf = File(raw)
    async with buf:
        await cut_short(buf, raw)
        with raises(InUseError):
            async with buf:
                raise AssertionError
        await buf.wr(b"next")
    assert raw.written == b"0123456789next"


async def test_errors_name_the_peer():
    raw = Scripted()
    raw.reads = [OSError(104)]
    async with single(raw) as buf:
        with raises(LinkLost) as info:
            await rd(buf)
    assert str(info.exc) == "x: [Errno 104] ECONNRESET"
    assert raw.closed


async def test_a_handler_of_asyncios_server():
    async def echo(reader, _writer):
        async with stream.SingleAIOBuf(reader) as link:
            try:
                while True:
                    await link.wr(await rd(link))
            except EOFError:
                ended.append(True)

    ended = []
    port = 49152 + rt.random_bits() % 16384
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    try:
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        async with stream.SingleAIOBuf(reader) as link:
            await link.wr(b"hello")
            assert await rd_exactly(link, 5) == b"hello"
        while not ended:
            await rt.sleep_ms(1)
    finally:
        server.close()
        await server.wait_closed()


async def test_a_second_reader_of_a_stream_is_refused():
    async def read(buf):
        with raises(EOFError):
            await rd(buf)

    here, there = tcp_pair()
    async with single(here) as buf, rt.TaskGroup() as tasks:
        tasks.start_soon(read, buf)
        await settle()
        with raises(InUseError):
            await rd(buf)
        there.close()


async def test_closing_wakes_who_reads_and_who_writes():
    async def flood(buf):
        while True:
            await buf.wr(chunk)

    async def fails(awaitable):
        with raises(LinkLost) as info:
            await awaitable
        found.append(str(info.exc))

    found, chunk = [], bytes(100000)
    here, there = tcp_pair()
    buf = single(here)
    async with rt.TaskGroup() as tasks:
        tasks.start_soon(fails, rd(buf))
        tasks.start_soon(fails, flood(buf))
        await rt.sleep_ms(50)
        assert not found
        await buf.aclose()
        others = [listening()[0]]
        while others[-1].fileno() != here.fileno():
            others.append(listening()[0])
        # The last one has the number now, and nothing happens there.
        await buf.aclose()
    assert found == ["x: it is closed"] * 2
    others.append(there)
    for s in others:
        s.close()


def listening():
    """Return a socket where nobody connects unless he knows its address, and that."""
    server = socket.socket()
    while True:
        addr = socket.getaddrinfo("127.0.0.1", 49152 + rt.random_bits() % 16384)[0][-1]
        try:
            server.bind(addr)
            break
        except OSError:
            pass  # somebody has it
    server.listen(1)
    return server, addr


def tcp_pair():
    """Return two sockets that are connected; the first one does not block."""
    server, addr = listening()
    there = socket.socket()
    there.connect(addr)
    here, _ = server.accept()
    here.setblocking(False)
    server.close()
    return here, there


DEVICE_ONLY = [name for name in globals() if name.startswith("test_")]
