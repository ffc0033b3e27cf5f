"""The host's byte streams: anyio's, processes, serial ports. On asyncio and on trio."""

import os
import signal
import socket
import sys
import tty
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream
from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.net.process import ProcessLink
from moat.micro.net.serial import SerialLink
from moat.micro.proto import stream
from moat.micro.proto.stream import AnyioBuf


class SocketBuf(AnyioBuf):
    """A byte stream over a connected socket."""

    def __init__(self, sock):
        self._sock = sock

    @asynccontextmanager
    async def _ctx(self):
        self.s = await SocketStream.from_socket(self._sock)
        try:
            yield self
        finally:
            await self.s.aclose()


@pytest.fixture
def peer_and_buf():
    """A blocking socket, and the byte stream at the other end."""
    peer, sock = socket.socketpair()
    with peer, sock:
        peer.settimeout(5)
        yield peer, SocketBuf(sock)


async def rd(buf, n=100):
    """Read once; returns the bytes."""
    data = bytearray(n)
    return bytes(data[: await buf.rd(data)])


async def rd_all(buf):
    """Read until the end; returns the bytes."""
    data = b""
    with pytest.raises(EOFError):
        while True:
            data += await rd(buf)
    return data


async def rd_until(buf, end):
    """Read until the data end like this; returns the bytes."""
    data = b""
    while not data.endswith(end):
        data += await rd(buf)
    return data


async def second_reader_is_refused(buf, wake):
    """Check that, and that the first reader goes on."""
    found = []

    async def read():
        found.append(await rd(buf))

    with anyio.fail_after(5):
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(InUseError):
                await rd(buf)
            await wake()
    assert found == [b"hello"]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---- AnyioBuf


async def test_rd_returns_what_is_there(peer_and_buf):
    peer, buf = peer_and_buf
    async with buf:
        peer.sendall(b"\x03\x00hello")
        assert await rd(buf, 4) == b"\x03\x00he"
        assert await rd(buf) == b"llo"
        await buf.wr(memoryview(b"answer"))
        assert peer.recv(100) == b"answer"


async def test_the_end_of_a_stream(peer_and_buf):
    peer, buf = peer_and_buf
    async with buf:
        peer.sendall(b"last")
        peer.close()
        assert await rd(buf) == b"last"
        for _ in range(2):
            with pytest.raises(EOFError):
                await rd(buf)
        with pytest.raises(LinkLost):
            for _ in range(10):
                await buf.wr(bytes(100_000))


async def test_a_second_reader_is_refused(peer_and_buf):
    peer, buf = peer_and_buf

    async def wake():
        peer.sendall(b"hello")

    async with buf:
        await second_reader_is_refused(buf, wake)


async def test_a_stream_that_was_closed_here(peer_and_buf):
    _, buf = peer_and_buf
    async with buf:
        await buf.s.aclose()
        with pytest.raises(LinkLost):
            await rd(buf)
        with pytest.raises(LinkLost):
            await buf.wr(b"x")


async def test_a_cancelled_read_loses_nothing(peer_and_buf):
    peer, buf = peer_and_buf
    async with buf:
        for i in range(50):
            with anyio.move_on_after(0 if i % 2 else 0.001):
                await rd(buf)
        peer.sendall(b"all of it")
        assert await rd(buf) == b"all of it"


async def test_a_cancelled_write_is_sent_as_a_whole(peer_and_buf):
    peer, buf = peer_and_buf
    size = 2_000_000
    got = bytearray()

    def receive():
        while len(got) < size + 4 and (data := peer.recv(1 << 16)):
            got.extend(data)

    async def write():
        with scope:
            await buf.wr(bytes(size))

    scope = anyio.CancelScope()
    async with buf, rt.TaskGroup() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(anyio.to_thread.run_sync, receive)
        while not scope.cancelled_caught and len(got) < size:
            await anyio.sleep(0.001)
        await buf.wr(b"next")
    assert got == bytes(size) + b"next"


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_peer_that_takes_nothing_counts_as_lost(peer_and_buf):
    _, buf = peer_and_buf
    buf.stall_s = 0.05
    async with buf:
        with pytest.raises(LinkLost, match=r"no data for 0\.05 seconds"):
            await buf.wr(bytes(5_000_000))
        with pytest.raises(LinkLost):
            await buf.wr(b"half a message has gone before this")


# ---- ProcessBuf


def python(code, **kw):
    return ProcessLink([sys.executable, "-c", code], **kw)


async def test_a_process_reads_and_writes():
    async with ProcessLink(["cat"]) as buf:
        await buf.wr(b"\x03\xc1\x00hello")
        assert await rd_until(buf, b"o") == b"\x03\xc1\x00hello"


async def test_a_process_that_ends_well_is_an_eof():
    async with ProcessLink(["sh", "-c", "echo hi; echo noise >&2"]) as buf:
        assert await rd_all(buf) == b"hi\n"
        with pytest.raises(EOFError):
            await rd(buf)


async def test_a_process_that_fails_says_how_and_why():
    async with ProcessLink(["sh", "-c", "echo hi; echo 'it is broken' >&2; exit 3"]) as buf:
        with pytest.raises(LinkLost, match="sh has ended with status 3: it is broken"):
            while True:
                await rd(buf)


async def test_a_process_that_is_killed_says_by_what():
    async with ProcessLink(["sh", "-c", "kill -9 $$"]) as buf:
        with pytest.raises(LinkLost, match="sh has ended by signal 9"):
            await rd(buf)


async def test_only_the_end_of_stderr_is_kept():
    code = "import sys; sys.stderr.write('x' * 1000000 + 'the end'); sys.exit(1)"
    async with python(code) as buf:
        with pytest.raises(LinkLost, match="status 1: x+the end") as info:
            await rd(buf)
    assert len(str(info.value)) < 2200


@pytest.mark.parametrize("argv", [["/no/such/program"], ["no-such-program", "x"]])
async def test_a_program_that_does_not_exist(argv):
    with pytest.raises(LinkLost, match=f"cannot start {argv[0]}: No such file"):
        async with ProcessLink(argv):
            pass


async def test_a_file_that_is_no_program(tmp_path):
    file = tmp_path / "text"
    file.write_text("text")
    with pytest.raises(LinkLost, match=f"cannot start {file}: Permission denied"):
        async with ProcessLink([str(file)]):
            pass


async def test_a_program_below_the_working_directory(tmp_path):
    file = tmp_path / "here"
    file.write_text("#!/bin/sh\npwd\necho $WHAT\n")
    file.chmod(0o755)
    async with ProcessLink(["./here"], cwd=str(tmp_path), env={"WHAT": "that"}) as buf:
        assert await rd_all(buf) == f"{tmp_path}\nthat\n".encode()


async def test_a_working_directory_that_does_not_exist():
    with pytest.raises(LinkLost, match="cannot start cat: "):
        async with ProcessLink(["cat"], cwd="/no/such/directory"):
            pass


async def test_writing_to_a_dead_process_is_an_error():
    async with ProcessLink(["true"]) as buf:
        with pytest.raises(EOFError):
            await rd(buf)
        with pytest.raises(LinkLost):
            for _ in range(20):
                await buf.wr(bytes(10_000))


async def test_a_second_reader_of_a_process_is_refused():
    async with ProcessLink(["cat"]) as buf:

        async def wake():
            await buf.wr(b"hello")

        await second_reader_is_refused(buf, wake)


async def test_it_can_be_started_again():
    link = ProcessLink(["cat"])
    pids = set()
    for _ in range(2):
        async with link:
            pids.add(link.process.pid)
            await link.wr(b"x")
            assert await rd(link) == b"x"
            with pytest.raises(InUseError):
                await link.__aenter__()
        assert link.process is None
    assert len(pids) == 2


STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True: time.sleep(100)
"""


@pytest.mark.parametrize(
    "argv",
    [
        ["cat"],  # ends with its stdin
        ["sh", "-c", "echo ready; exec sleep 1000"],  # has to be told to
        [sys.executable, "-c", STUBBORN],  # has to be killed
    ],
)
@pytest.mark.parametrize("how", ["leave", "cancel", "error"])
async def test_no_process_is_left_behind(argv, how, monkeypatch):
    monkeypatch.setattr(stream, "_EXIT_S", 0.1)
    with anyio.CancelScope() as scope:
        try:
            async with ProcessLink(argv, exit_s=0.1) as buf:
                pid = buf.process.pid
                if argv != ["cat"]:
                    await rd_until(buf, b"ready\n")
                if how == "cancel":
                    scope.cancel()
                    await rd(buf)
                elif how == "error":
                    raise KeyError(1)
        except KeyError:
            assert how == "error"
    assert scope.cancelled_caught == (how == "cancel")
    assert not is_alive(pid)


async def test_what_a_process_has_started_does_not_keep_us():
    # It inherits the pipes: they do not come to an end.
    script = "sleep 1000 <&- & echo $!"
    async with ProcessLink(["sh", "-c", script], exit_s=0.1) as buf:
        pid = int((await rd_until(buf, b"\n")))
    try:
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_our_ctrl_c_does_not_reach_it():
    async with ProcessLink(["sh", "-c", "ps -o sid= -p $$ 2>/dev/null || cat"]) as buf:
        assert os.getsid(buf.process.pid) == buf.process.pid
        assert os.getsid(buf.process.pid) != os.getsid(0)


# ---- SerialLink


@pytest.fixture
def pty():
    """The master of a pseudo terminal, and a SerialLink to it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    link = SerialLink(os.ttyname(slave))
    yield master, link
    os.close(slave)  # until now: the buffer of a pty that nobody has open is gone
    try:
        os.close(master)
    except OSError:
        pass  # the test has


async def test_a_serial_port_carries_any_byte(pty):
    master, link = pty
    async with link:
        for data in (bytes(range(256)), b"\x03\x04\r\n\x11\x13\xff"):
            os.write(master, data)
            got = b""
            while len(got) < len(data):
                got += await rd(link)
            assert got == data
            await link.wr(data)
            assert os.read(master, 1000) == data


async def test_a_serial_port_that_vanishes(pty):
    master, link = pty
    lost = []

    async def read():
        with pytest.raises(LinkLost, match=link.port):
            await rd(link)
        lost.append(True)

    async with link:
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            os.close(master)
        assert lost
        with pytest.raises(LinkLost):
            await link.wr(b"x")


async def test_a_second_reader_of_a_serial_port_is_refused(pty):
    master, link = pty

    async def wake():
        os.write(master, b"hello")

    async with link:
        await second_reader_is_refused(link, wake)


async def test_a_serial_port_that_does_not_exist():
    with pytest.raises(LinkLost, match="/dev/no-such-port: No such file"):
        async with SerialLink("/dev/no-such-port"):
            pass


async def test_a_serial_port_is_opened_once(pty):
    _, link = pty
    async with link:
        with pytest.raises(LinkLost, match=link.port):
            async with SerialLink(link.port):
                pass
    async with SerialLink(link.port):
        pass


async def drain(master, n):
    """Read `n` bytes from the master of a pty."""
    got = b""
    while len(got) < n:
        await anyio.wait_readable(master)
        got += os.read(master, 65536)
    return got


async def test_a_cancelled_write_to_a_serial_port_is_finished_by_the_next(pty):
    master, link = pty
    first = bytes(range(256)) * 400
    async with link:
        with anyio.move_on_after(0.05) as scope:
            await link.wr(first)
        assert scope.cancelled_caught
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(link.wr, b"next")
            assert await drain(master, len(first) + 4) == first + b"next"


async def test_what_was_left_over_is_not_sent_when_it_is_opened_again(pty):
    master, link = pty
    first = bytes(100_000)
    async with link:
        with anyio.move_on_after(0.05):
            await link.wr(first)
    os.set_blocking(master, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.read(master, 65536)
    async with link:
        await link.wr(b"new")
        assert await drain(master, 3) == b"new"
