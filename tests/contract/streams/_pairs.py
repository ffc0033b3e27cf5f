"""Pairs of the classes that run on both sides; _pair.py says how to add one."""

import os

from _pair import BLK, BUF, MSG, pair
from _wire import SMALL, Accepts, Wire, small, socket_path

from moat.micro import rt
from moat.micro.net.net import NetLink, NetServer
from moat.micro.net.sock import SingleSockBuf, SockBuf, addresses, unix_address
from moat.micro.net.unix import UnixLink
from moat.micro.proto.log import LogBlk, LogBuf, LogMsg
from moat.micro.proto.msgpack import MsgpackMsgBlk, MsgpackMsgBuf
from moat.micro.proto.reconnect import ReconnectBuf
from moat.micro.proto.reliable import ReliableMsg
from moat.micro.proto.serialpacker import SerialPackerBlkBuf
from moat.micro.proto.stack import StackedBlk, StackedBuf, StackedMsg

try:
    from moat.micro.testing.memory import blk_pair, buf_pair, msg_pair
except ImportError:  # MicroPython: the runner has put the file's folder on the path
    from memory import blk_pair, buf_pair, msg_pair

# A memory pair fills up soon, and has all that a stream may have.
SIZE = {"size": 1000, "chunk": 300}
ALL = {"early": True, "console": True, "halves": True, "resets": True, "holds": 5000}
FEW = {"early": True, "console": True, "resets": True, "holds": 50_000, "fills": 2}


def under(p, a, b):
    """Have the pair fail as the memory streams `a` and `b` below it fail."""
    p.cut, p.reset = a.break_, a.reset
    p.half_close = getattr(b, "half_close", None)


@pair(BUF, "MemBuf", **ALL)
async def mem_buf(p):
    a, b = buf_pair(console=50, **SIZE)
    under(p, a, b)
    yield p.of(a, b)


@pair(BLK, "MemBlk", too_long=5000, **FEW)
async def mem_blk(p):
    a, b = blk_pair(2, limit=4999, console=50)
    under(p, a, b)
    yield p.of(a, b)


@pair(MSG, "MemMsg", **FEW)
async def mem_msg(p):
    a, b = msg_pair(2, console=50)
    under(p, a, b)
    yield p.of(a, b)


@pair(BUF, "StackedBuf", **ALL)
async def stacked_buf(p):
    a, b = buf_pair(console=50, **SIZE)
    under(p, a, b)
    yield p.of(StackedBuf(a), StackedBuf(b))


@pair(BLK, "StackedBlk", too_long=5000, **FEW)
async def stacked_blk(p):
    a, b = blk_pair(2, limit=4999, console=50)
    under(p, a, b)
    yield p.of(StackedBlk(a), StackedBlk(b))


@pair(MSG, "StackedMsg", **FEW)
async def stacked_msg(p):
    a, b = msg_pair(2, console=50)
    under(p, a, b)
    yield p.of(StackedMsg(a), StackedMsg(b))


@pair(MSG, "MsgpackMsgBuf", **ALL)
async def msgpack_msg_buf(p):
    a, b = buf_pair(**SIZE)
    under(p, a, b)
    yield p.of(MsgpackMsgBuf(a), MsgpackMsgBuf(b))


@pair(MSG, "MsgpackMsgBlk", too_long=5000, **FEW)
async def msgpack_msg_blk(p):
    a, b = blk_pair(2, console=50)
    under(p, a, b)
    yield p.of(MsgpackMsgBlk(a, limit=4999), MsgpackMsgBlk(b))


@pair(BLK, "SerialPackerBlkBuf", too_long=5000, **ALL)
async def serial_packer_blk_buf(p):
    a, b = buf_pair(**SIZE)
    under(p, a, b)
    yield p.of(SerialPackerBlkBuf(a, max_packet=4999), SerialPackerBlkBuf(b, max_packet=4999))


def no_sink(_ticks, _op, _data, _exc):
    """Where a log goes that nobody wants to see."""


@pair(BUF, "LogBuf", **ALL)
async def log_buf(p):
    a, b = buf_pair(console=50, **SIZE)
    under(p, a, b)
    yield p.of(LogBuf(a, sink=no_sink), LogBuf(b, sink=no_sink))


@pair(BLK, "LogBlk", **FEW)
async def log_blk(p):
    a, b = blk_pair(2, console=50)
    under(p, a, b)
    yield p.of(LogBlk(a, sink=no_sink), LogBlk(b, sink=no_sink))


@pair(MSG, "LogMsg", **FEW)
async def log_msg(p):
    a, b = msg_pair(2, console=50)
    under(p, a, b)
    yield p.of(LogMsg(a, sink=no_sink), LogMsg(b, sink=no_sink))


@pair(BUF, "ReconnectBuf", **ALL)
async def reconnect_buf(p):
    a, b = buf_pair(console=50, **SIZE)
    under(p, a, b)
    yield p.of(ReconnectBuf(a, eof=False, retries=0), ReconnectBuf(b, eof=False, retries=0))


@pair(MSG, "ReliableMsg", early=True, console=True, holds=100_000, fills=16)
async def reliable_msg(p):
    a, b = msg_pair(20, console=50)
    p.cut = a.break_
    yield p.of(ReliableMsg(a, window=8, queue=8), ReliableMsg(b, window=8, queue=8))


# ---- sockets


class WireBuf(SockBuf):
    """SockBuf says: call `use` in `_ctx`."""

    def __init__(self, wire, i):
        self._wire, self._i = wire, i

    @rt.asynccontextmanager
    async def _ctx(self):
        self.use(self._wire.take(self._i))
        try:
            yield self
        finally:
            await self.aclose()


@pair(BUF, "SockBuf", early=True, cuts=False, **SMALL)
async def sock_buf(p):
    wire = Wire()
    yield p.of(WireBuf(wire, 0), WireBuf(wire, 1))
    wire.close()


@pair(BUF, "SingleSockBuf", early=True, cuts=False, again=False, **SMALL)
async def single_sock_buf(p):
    wire = Wire()
    a, b = SingleSockBuf(wire.take(0), "one"), SingleSockBuf(wire.take(1), "two")
    yield p.of(a, b)
    await a.aclose()
    await b.aclose()


class SmallUnixLink(UnixLink):
    """Its socket holds little."""

    def use(self, s):
        UnixLink.use(self, small(s))


@pair(BUF, "UnixLink", cuts=False, **SMALL)
async def unix_link(p):
    path = socket_path()
    server = Accepts(unix_address(path))
    yield p.of(SmallUnixLink(path), server)
    server.close()
    os.remove(path)


TCP = 30_000  # with less it waits for acknowledgements


class SmallNetLink(NetLink):
    """Its socket holds little."""

    def use(self, s):
        NetLink.use(self, small(s, TCP))


@pair(BUF, "NetLink", cuts=False, holds=500_000, huge=250_000, steps=10)
async def net_link(p):
    async with NetServer(None) as free:
        port = free.port
    server = Accepts((await addresses("127.0.0.1", port))[0], TCP)
    yield p.of(SmallNetLink("127.0.0.1", port), server)
    server.close()
