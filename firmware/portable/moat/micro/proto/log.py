"""LogBuf, LogBlk, LogMsg: tell what goes through, and change nothing.

What they tell, and how it looks as text, is said in `_log`.
"""

from moat.micro import rt
from moat.micro.const import const
from moat.micro.proto.sink import default_sink
from moat.micro.proto.stack import StackedBlk, StackedBuf, StackedMsg

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

    Sink = Callable[[int, str, Any, "BaseException | None"], object]


class _Tap:
    """Hands events to the sink. If that fails, `failed` is its error, and it is left alone."""

    failed: "BaseException | None" = None

    def __init__(self, sink):
        self._sink = sink

    def note(self, op, data, exc=None):
        if self.failed is None:
            try:
                self._sink(rt.ticks_ms(), op, data, exc)
            except Exception as err:
                self.failed = err

    async def call(self, op, fn, *args):
        """Call the layer below and note an error of it."""
        try:
            return await fn(*args)
        except Exception as exc:
            self.note(op, None, exc)
            raise

    async def read_buf(self, op, fn, buf):
        n = await self.call(op, fn, buf)
        self.note(op, memoryview(buf)[:n])
        return n

    async def read_obj(self, op, fn):
        obj = await self.call(op, fn)
        self.note(op, obj)
        return obj

    def write_buf(self, op, fn, buf):
        # An empty write only pushes out what was printed; if that is where the log goes to, a
        # line about it would be the reason for the next one, and so on.
        if len(buf):
            self.note(op, buf)
        return self.call(op, fn, buf)


@rt.asynccontextmanager
async def _ctx(self):
    op = "enter"
    error = None
    try:
        async with self.parent as self.s:
            self._tap.note(op, None)
            op = "leave"
            yield self
    except Exception as exc:
        error = exc
        raise
    finally:
        if op == "leave" or error is not None:
            self._tap.note(op, None, error)


def _crd(self, buf: "Any") -> "Any":
    """See Base.crd."""
    return self._tap.read_buf("crd", self.s.crd, buf)


def _cwr(self, buf: "Any") -> "Any":
    """See Base.cwr."""
    return self._tap.write_buf("cwr", self.s.cwr, buf)


def _failed(self) -> "BaseException | None":
    """The error of a sink that has failed, and is not called any more; else None."""
    return self._tap.failed


class LogBuf(StackedBuf):
    """Tells what goes through a byte stream, its console included.

    Data are told when they have been read, and when their writing begins, so that they stand
    before what answers them. A read that is cancelled tells nothing. Empty writes are not told.

    Args:
        parent: the byte stream below.
        name: for the default sink.
        sink: called for each event; see `_log` for its arguments. Default: lines to Python's
            logging on the host (logger "moat.micro.log.NAME", level DEBUG), print() on a device.
    """

    def __init__(self, parent: "Any", name: str = "", sink: "Sink | None" = None) -> None:
        super().__init__(parent)
        self._tap = _Tap(sink or default_sink(name))

    _ctx = _ctx
    crd = _crd
    cwr = _cwr
    failed = property(_failed)

    def rd(self, buf: "Any") -> "Any":
        """See BaseBuf.rd."""
        return self._tap.read_buf("rd", self.s.rd, buf)

    def wr(self, buf: "Any") -> "Any":
        """See BaseBuf.wr."""
        return self._tap.write_buf("wr", self.s.wr, buf)


class LogBlk(StackedBlk):
    """Tells what goes through a block stream; see LogBuf."""

    def __init__(self, parent: "Any", name: str = "", sink: "Sink | None" = None) -> None:
        super().__init__(parent)
        self._tap = _Tap(sink or default_sink(name))

    _ctx = _ctx
    crd = _crd
    cwr = _cwr
    failed = property(_failed)

    def rcv(self) -> "Any":
        """See BaseBlk.rcv."""
        return self._tap.read_obj("rcv", self.s.rcv)

    def snd(self, buf: "Any") -> "Any":
        """See BaseBlk.snd."""
        self._tap.note("snd", buf)
        return self._tap.call("snd", self.s.snd, buf)


class LogMsg(StackedMsg):
    """Tells what goes through a message stream; see LogBuf."""

    def __init__(self, parent: "Any", name: str = "", sink: "Sink | None" = None) -> None:
        super().__init__(parent)
        self._tap = _Tap(sink or default_sink(name))

    _ctx = _ctx
    crd = _crd
    cwr = _cwr
    failed = property(_failed)

    def recv(self) -> "Any":
        """See BaseMsg.recv."""
        return self._tap.read_obj("recv", self.s.recv)

    def send(self, msg: "Any") -> "Any":
        """See BaseMsg.send."""
        self._tap.note("send", msg)
        return self._tap.call("send", self.s.send, msg)
