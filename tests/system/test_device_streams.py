"""FileBuf and AIOBuf on the unix image: over blocking pipes, and over asyncio's sockets."""

import time
from pathlib import Path
from subprocess import PIPE, Popen

import anyio
import pytest

from moat.micro.boards import load

ECHO = """
import sys
from moat.micro import rt
from moat.micro.proto.stream import FileBuf

class Pipes(FileBuf):
    @rt.asynccontextmanager
    async def _ctx(self):
        self.s, self.out = sys.stdin.buffer, sys.stdout.buffer
        yield self

async def main():
    buf = bytearray(100)
    async with Pipes(bytewise=True) as s:
        while True:
            try:
                n = await s.rd(buf)
            except EOFError:
                await s.wr(b"end")
                return
            await s.wr(b"%d:" % n + buf[:n])
rt.run(main)
"""

CLIENT = """
import asyncio
from moat.micro import rt
from moat.micro.proto.stream import AIOBuf

class Tcp(AIOBuf):
    @rt.asynccontextmanager
    async def _ctx(self):
        self.s, _ = await asyncio.open_connection("127.0.0.1", PORT)
        try:
            yield self
        finally:
            self.s.close()
            await self.s.wait_closed()

async def main():
    buf = bytearray(100)
    async with Tcp() as s:
        await s.wr(b"hello")
        n = await s.rd(buf)
        await s.wr(buf[:n])
        try:
            await s.rd(buf)
        except EOFError:
            print("end")
rt.run(main)
"""


@pytest.fixture
def image() -> Path:
    return load("unix").image_path


@pytest.fixture
def echo(image: Path):
    with Popen([image, "-c", ECHO], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
        assert process.stdin
        assert process.stdout
        yield process
        process.stdin.close()


def test_a_blocking_pipe_gives_what_is_there(echo):
    for text in (b"a", b"some bytes", bytes(range(60)).replace(b"\x03", b"")):
        echo.stdin.write(text)
        answer = b"%d:" % len(text) + text
        got = b""
        while len(got) < len(answer):
            got += echo.stdout.read(100)
        assert got == answer


def test_a_chunk_ends_behind_a_ctrl_c(echo):
    echo.stdin.write(b"ab\x03cd")
    expected = b"3:ab\x032:cd"
    got = b""
    while len(got) < len(expected):
        got += echo.stdout.read(100)
    assert got == expected


def test_the_end_of_a_pipe_is_the_end_of_the_stream(echo):
    echo.stdin.close()
    assert echo.stdout.read() == b"end"


def _switches(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_waiting_does_not_poll(echo):
    echo.stdin.write(b"x")
    assert echo.stdout.read(3) == b"1:x"
    before = _switches(echo.pid)
    time.sleep(0.3)  # an idle time is what is measured
    assert _switches(echo.pid) - before <= 1


async def test_a_socket_of_asyncio(image: Path):
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        result: list[bytes] = []

        async def serve(client: anyio.abc.SocketStream) -> None:
            async with client:
                assert await client.receive() == b"hello"
                await client.send(b"there")
                result.append(await client.receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            done = await anyio.run_process([image, "-c", CLIENT.replace("PORT", str(port))])
            assert done.stdout == b"end\n"
            tasks.cancel_scope.cancel()
    assert result == [b"there"]
