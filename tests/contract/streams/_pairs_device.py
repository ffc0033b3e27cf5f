"""Pairs of the device's own classes, on the unix image; _pair.py says how to add one.

CPython imports this, too: what it lacks is imported in the functions only.
"""

from _pair import BUF, pair
from _wire import SMALL, Wire

from moat.micro import rt


def _opens(cls, wire, i, wrap):
    """Return a stream that takes its end of the wire when it is entered."""

    class Opens(cls):
        @rt.asynccontextmanager
        async def _ctx(self):
            sock = wire.take(i)
            self.s = wrap(sock)
            try:
                yield self
            finally:
                sock.close()

    return Opens()


def _pair_of(p, cls, wrap=lambda sock: sock):
    wire = Wire()
    return wire, p.of(_opens(cls, wire, 0, wrap), _opens(cls, wire, 1, wrap))


@pair(BUF, "FileBuf", early=True, cuts=False, **SMALL)
async def file_buf(p):
    from moat.micro.proto.stream import FileBuf

    wire, both = _pair_of(p, FileBuf)
    yield both
    wire.close()


@pair(BUF, "AIOBuf", early=True, cuts=False, **SMALL)
async def aio_buf(p):
    from asyncio import StreamReader

    from moat.micro.proto.stream import AIOBuf

    wire, both = _pair_of(p, AIOBuf, StreamReader)
    yield both
    wire.close()


@pair(BUF, "SingleAIOBuf", early=True, cuts=False, again=False, **SMALL)
async def single_aio_buf(p):
    from asyncio import StreamReader

    from moat.micro.proto.stream import SingleAIOBuf

    wire = Wire()
    a, b = [SingleAIOBuf(StreamReader(wire.take(i)), "wire") for i in (0, 1)]
    yield p.of(a, b)
    await a.aclose()
    await b.aclose()


class Port:
    """Stands for the module `_port`: the console port is a socket, and nothing is printed."""

    bare = False

    def __init__(self, sock):
        self.inp = self.out = sock
        self.console = self

    def capture(self, on):
        """Keep what print() writes, or not."""

    def readinto(self, buf):
        """Nothing was printed."""
        return


@pair(BUF, "StdioBuf", early=True, cuts=False, **SMALL)
async def stdio_buf(p):
    import sys

    from moat.micro.proto.stream import FileBuf, StdioBuf

    wire = Wire()

    class Stdio(StdioBuf):
        @rt.asynccontextmanager
        async def _ctx(self):
            sock = wire.take(0)
            real = sys.modules.get("_port")
            sys.modules["_port"] = Port(sock)
            try:
                async with StdioBuf._ctx(self):
                    yield self
            finally:
                sys.modules["_port"] = real
                sock.close()

    yield p.of(Stdio(), _opens(FileBuf, wire, 1, lambda sock: sock))
    wire.close()


@pair(BUF, "UartLink", early=True, cuts=False, **SMALL)
async def uart_link(p):
    from moat.micro.net.uart import UartLink
    from moat.micro.proto.stream import FileBuf

    wire = Wire()

    class Uart(UartLink):
        _piece = 64

        def _open(self):
            return wire.take(0)

    yield p.of(Uart("wire"), _opens(FileBuf, wire, 1, lambda sock: sock))
    wire.close()
