"""Pairs of the host's own classes; _pair.py says how to add one."""

import os
import pty
import socket
import sys
import tempfile
import tty
from contextlib import asynccontextmanager, contextmanager

import anyio
from _pair import BLK, BUF, MSG, pair
from _pairs import under
from _wire import SMALL, Wire
from anyio.abc import SocketAttribute, SocketStream

from moat.micro.net.process import ProcessLink
from moat.micro.net.serial import SerialLink
from moat.micro.proto import stream
from moat.micro.proto.fd import FdBuf
from moat.micro.proto.stream import AnyioBuf, ProcessBuf, SingleAnyioBuf
from moat.micro.testing.faults import FaultBlk, FaultBuf, FaultMsg, Faults
from moat.micro.testing.memory import blk_pair, buf_pair, msg_pair

# What the kernel holds for a reader; a unit that does not fit in.
PIPES = {"holds": 1_000_000, "huge": 500_000, "steps": 12, "halves": True}


class SocketBuf(AnyioBuf):
    """AnyioBuf says: set `s` in `_ctx`."""

    def __init__(self, wire, i):
        self._wire, self._i = wire, i

    @asynccontextmanager
    async def _ctx(self):
        with self._wire.take(self._i) as sock:
            self.s = await SocketStream.from_socket(sock)
            try:
                yield self
            finally:
                await self.s.aclose()

    def half_close(self):
        """Write no more."""
        self.s.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_WR)


@pair(BUF, "AnyioBuf", early=True, cuts=False, halves=True, **SMALL)
async def anyio_buf(p):
    wire = Wire()
    a, b = SocketBuf(wire, 0), SocketBuf(wire, 1)
    p.half_close = b.half_close
    yield p.of(a, b)
    wire.close()


@pair(BUF, "SingleAnyioBuf", early=True, cuts=False, halves=True, again=False, **SMALL)
async def single_anyio_buf(p):
    wire = Wire()
    socks = [wire.take(i) for i in (0, 1)]
    a, b = [SingleAnyioBuf(await SocketStream.from_socket(sock)) for sock in socks]
    p.half_close = lambda: socks[1].shutdown(socket.SHUT_WR)
    yield p.of(a, b)
    await a.aclose()
    await b.aclose()


class SocketFdBuf(FdBuf):
    """FdBuf says: use `_open` and `_close` in `_ctx`."""

    def __init__(self, wire, i):
        self._wire, self._i = wire, i

    @asynccontextmanager
    async def _ctx(self):
        with self._wire.take(self._i) as self.s:
            self._open("a socket", self.s.fileno(), self.s.fileno())
            try:
                yield self
            finally:
                self._close()


@pair(BUF, "FdBuf", early=True, cuts=False, halves=True, **SMALL)
async def fd_buf(p):
    wire = Wire()
    a, b = SocketFdBuf(wire, 0), SocketFdBuf(wire, 1)
    p.half_close = lambda: b.s.shutdown(socket.SHUT_WR)
    yield p.of(a, b)
    wire.close()


RELAY = """
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"%d\\n" % os.getpid())
def copy(source, to):
    while data := os.read(source, 65536):
        while data:
            data = data[os.write(to, data):]
def copy_out():
    try:
        copy(0, s.fileno())
    finally:
        os._exit(0)
threading.Thread(target=copy_out).start()
copy(s.fileno(), 1)
os.close(1)
"""


class Far(FdBuf):
    """The other end of a process that copies its stdin and stdout to and from a socket."""

    link = None  # the stream to the process

    def __init__(self, folder):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/socket")
        self._listener.listen(100)
        self._listener.setblocking(False)
        self.argv = [sys.executable, "-ISc", RELAY, f"{folder}/socket"]

    @asynccontextmanager
    async def _ctx(self):
        with await self._accept() as self.s:
            self.s.setblocking(False)
            self._open("a socket", self.s.fileno(), self.s.fileno())
            try:
                yield self
            finally:
                self._close()

    async def _accept(self):
        """Wait for the present process: earlier ones may have been started in vain."""
        while True:
            await anyio.wait_readable(self._listener)
            sock, _ = self._listener.accept()
            with sock.makefile("rb", 0) as file:
                pid = file.readline()
            if pid and int(pid) == self.link.process.pid:
                return sock
            sock.close()

    def half_close(self):
        """Write no more."""
        self.s.shutdown(socket.SHUT_WR)

    def kill(self):
        """Kill the process."""
        self.link.process.kill()

    def close(self):
        """Let no process connect."""
        self._listener.close()


@contextmanager
def far_end():
    """Give one; a process that does not end is not waited for so long."""
    before = stream._EXIT_S
    stream._EXIT_S = 0.05
    with tempfile.TemporaryDirectory() as folder:
        far = Far(folder)
        try:
            yield far
        finally:
            far.close()
            stream._EXIT_S = before


class RelayBuf(ProcessBuf):
    """ProcessBuf says: override `argv`."""

    def __init__(self, argv):
        self.argv = argv


@pair(BUF, "ProcessBuf", **PIPES)
async def process_buf(p):
    with far_end() as far:
        far.link = link = RelayBuf(far.argv)
        p.cut, p.half_close = far.kill, far.half_close
        yield p.of(link, far)


@pair(BUF, "ProcessLink", **PIPES)
async def process_link(p):
    with far_end() as far:
        far.link = link = ProcessLink(far.argv)
        p.cut, p.half_close = far.kill, far.half_close
        yield p.of(link, far)


class Master(FdBuf):
    """The other end of a serial line."""

    def __init__(self, fd):
        self.fd = fd
        os.set_blocking(fd, False)
        tty.setraw(fd)

    @asynccontextmanager
    async def _ctx(self):
        self._open("a pty", self.fd, self.fd)
        try:
            yield self
        finally:
            self._close()

    def pull(self):
        """Unplug the line."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


@pair(BUF, "SerialLink", ends=None, holds=200_000, huge=100_000, steps=12)
async def serial_link(p):
    fd, slave = pty.openpty()
    name = os.ttyname(slave)
    master = Master(fd)
    p.cut = master.pull
    yield p.of(SerialLink(name), master)
    master.pull()
    os.close(slave)


# ---- bad lines, which do what they would do if they were good


@pair(BUF, "FaultBuf", console=True, halves=True, resets=True, holds=5000)
async def fault_buf(p):
    a, b = buf_pair(1000, 300, console=50)
    under(p, a, b)
    yield p.of(FaultBuf(a), FaultBuf(b))


@pair(BLK, "FaultBlk", console=True, resets=True, holds=50_000, fills=2, too_long=5000)
async def fault_blk(p):
    a, b = blk_pair(2, limit=4999, console=50)
    under(p, a, b)
    yield p.of(FaultBlk(a), FaultBlk(b))


@pair(MSG, "FaultMsg", console=True, resets=True, holds=50_000, fills=2)
async def fault_msg(p):
    a, b = msg_pair(2, console=50)
    under(p, a, b)
    yield p.of(FaultMsg(a), FaultMsg(b))


SLOW = Faults(delay_ms=(0.1, 0.3))


@pair(MSG, "FaultMsg", console=True, holds=50_000, fills=2)
async def fault_msg_that_delays(p):
    a, b = msg_pair(2, console=50)
    under(p, a, b)
    yield p.of(FaultMsg(a, 1, SLOW, SLOW, 5), FaultMsg(b, 2, SLOW, SLOW, 5))
