"""The host's byte streams: anyio's, and processes. On asyncio and on trio."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import anyio
import pytest

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.net.process import ProcessLink
from moat.micro.proto import stream
from tests.unit.streams import SocketBuf, rd, rd_until, second_reader_is_refused, socket_pair


@pytest.fixture
def peer_and_buf():
    """A blocking socket, and the byte stream at the other end."""
    with socket_pair() as (peer, sock):
        peer.settimeout(5)
        yield peer, SocketBuf(sock)


async def rd_to_the_end(buf):
    """Read until it fails; returns the bytes and the error."""
    data = b""
    try:
        while True:
            data += await rd(buf)
    except (EOFError, LinkLost) as exc:
        return data, exc


async def wr_until_it_fails(buf):
    """Write until that is an error; returns it."""
    for _ in range(20):
        try:
            await buf.wr(bytes(100_000))
        except LinkLost as exc:
            return exc
    return None


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
        assert isinstance(await wr_until_it_fails(buf), LinkLost)


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
        ended.set()

    scope, ended = anyio.CancelScope(), anyio.Event()
    async with buf, rt.TaskGroup() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(anyio.to_thread.run_sync, receive)
        await ended.wait()
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
        data, exc = await rd_to_the_end(buf)
        assert data == b"hi\n"
        assert isinstance(exc, EOFError)
        with pytest.raises(EOFError):
            await rd(buf)


async def test_a_process_that_fails_says_how_and_why():
    async with ProcessLink(["sh", "-c", "echo hi; echo 'it is broken' >&2; exit 3"]) as buf:
        data, exc = await rd_to_the_end(buf)
        assert data == b"hi\n"
        assert isinstance(exc, LinkLost)
        assert str(exc) == "sh has ended with status 3: it is broken"


async def test_a_process_that_is_killed_says_by_what():
    async with ProcessLink(["sh", "-c", "kill -9 $$"]) as buf:
        with pytest.raises(LinkLost, match="sh has ended by signal 9"):
            await rd(buf)


async def test_only_the_end_of_stderr_is_kept():
    code = "import sys; sys.stderr.write('x' * 1000000 + 'the end'); sys.exit(1)"
    async with python(code) as buf:
        with pytest.raises(LinkLost, match=r"status 1: x+the end") as info:
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
        data, _ = await rd_to_the_end(buf)
        assert data == f"{tmp_path}\nthat\n".encode()


async def test_a_working_directory_that_does_not_exist():
    with pytest.raises(LinkLost, match="cannot start cat: "):
        async with ProcessLink(["cat"], cwd="/no/such/directory"):
            pass


async def test_writing_to_a_dead_process_is_an_error():
    async with ProcessLink(["true"]) as buf:
        with pytest.raises(EOFError):
            await rd(buf)
        assert isinstance(await wr_until_it_fails(buf), LinkLost)


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
            assert link.process is not None
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
    pid = 0
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
        pid = int(await rd_until(buf, b"\n"))
    try:
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


PARENT = """
import anyio, os, signal
from moat.micro.net.process import ProcessLink

async def main():
    async with ProcessLink(["sleep", "1000"]) as buf:
        print(buf.process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")
async def test_it_ends_when_we_are_killed():
    async with python(PARENT) as buf:
        pid = int(await rd_until(buf, b"\n"))
        with pytest.raises(LinkLost, match="signal 9"):
            await rd(buf)
        with anyio.fail_after(5):
            while runs(pid):  # noqa: ASYNC110 -- nobody tells us of what is not our child
                await anyio.sleep(0.01)


def runs(pid):
    """Is there such a process, other than one that has ended and waits to be noticed?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_our_ctrl_c_does_not_reach_it():
    async with ProcessLink(["cat"]) as buf:
        assert os.getsid(buf.process.pid) == buf.process.pid
        assert os.getsid(buf.process.pid) != os.getsid(0)
