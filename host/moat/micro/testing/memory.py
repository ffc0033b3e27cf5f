"""Streams in memory, for tests: two connected ends of each kind, with bounded buffers between.

    a, b = buf_pair()
    async with MsgpackMsgBuf(a) as one, MsgpackMsgBuf(b) as two:
        await one.send("hello")
        assert await two.recv() == "hello"

They keep the contracts of proto/stack.py, and fail when told to in the ways in which a real
line fails. This file runs on MicroPython, too, where it is not frozen: copy it.
"""

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import InUseError, LinkLost, LinkReset, MessageTooLongError, NoConsoleError
from moat.micro.proto.stack import Base

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class Pipe:
    """One direction. `data` is a bytearray, or a list of blocks or messages.

    Args:
        data: an empty one.
        size: bytes, blocks or messages that fit in.
        chunk: bytes that are read at once.
    """

    def __init__(self, data: "Any", size: int, chunk: int = 1) -> None:
        self.data = data
        self.size = size
        self.chunk = chunk
        self.held = False  # what is in here arrives later
        self.ended: BaseException | None = None  # what reading raises when the data are gone
        self.deserted = False  # nobody will ever read
        self.was_reset = False
        self._changed = rt.Event()

    def notify(self) -> None:
        """Wake whoever waits."""
        self._changed.set()
        self._changed.clear()

    def put(self, data: "Any") -> None:
        """Add `data`, whether they fit or not."""
        self.data.extend(data)
        self.notify()

    def end(self, exc: BaseException) -> None:
        """No more data: reading raises `exc` when the rest has been read."""
        if self.ended is None:
            self.ended = exc
        self.notify()

    def clear(self) -> None:
        """Lose what is in here."""
        self.data[:] = type(self.data)()
        self.notify()

    def revive(self) -> None:
        """Be as new if this has ended."""
        if self.ended is not None or self.deserted:
            self.ended = None
            self.deserted = False
            self.clear()

    async def filled(self) -> None:
        """Wait until there are data. LinkReset; EOFError or LinkLost: there will be none."""
        while True:
            if self.was_reset:
                self.was_reset = False
                raise LinkReset("reset")
            if self.data and not self.held:
                return
            if self.ended is not None:
                raise type(self.ended)(*self.ended.args)
            await self._changed.wait()

    async def room(self) -> int:
        """Wait until something fits in; returns how much. LinkLost: nobody will read it."""
        while True:
            if self.ended is not None or self.deserted:
                raise LinkLost("the line is cut")
            if len(self.data) < self.size:
                return self.size - len(self.data)
            await self._changed.wait()


class _Mem(Base):
    """One end of the line."""

    def __init__(self, inp: Pipe, out: Pipe, hangs_up: bool) -> None:
        self.inp = inp
        self.out = out
        self.text_in: Any = None  # pipes for console bytes
        self.text_out: Any = None
        self.hangs_up = hangs_up
        self.peer: Any = None
        self.fails = 0  # so often entering will fail
        self.entered = 0
        self.open = False
        self._reading = self._writing = False

    @rt.asynccontextmanager
    async def _ctx(self):
        await rt.sleep_ms(0)
        if self.fails:
            self.fails -= 1
            raise LinkLost("there is nothing there")
        if not self.peer.open:
            for pipe in self._pipes():
                pipe.revive()
        self.entered += 1
        self.open = True
        try:
            yield self
        finally:
            self._closed()

    def _pipes(self) -> "list[Pipe]":
        pipes = [self.inp, self.out, self.text_in, self.text_out]
        return [pipe for pipe in pipes if pipe is not None]

    def _closed(self) -> None:
        self.open = False
        for pipe in self._pipes() if self.hangs_up else ():
            if pipe is self.out or pipe is self.text_out:
                pipe.end(EOFError())
            else:
                pipe.deserted = True
            pipe.notify()

    async def _begin_read(self) -> None:
        """Wait for data; returns without having taken any."""
        self._check_open()
        if self._reading:
            raise InUseError("somebody reads already")
        self._reading = True
        try:
            await self.inp.filled()
        finally:
            self._reading = False

    def _begin_write(self) -> None:
        self._check_open()
        if self._writing:
            raise InUseError("somebody writes already")
        self._writing = True

    def _check_open(self) -> None:
        if not self.open:
            raise LinkLost("%s is not open" % type(self).__name__)

    async def _take(self) -> "Any":
        await self._begin_read()
        item = self.inp.data.pop(0)
        self.inp.notify()
        return item

    async def _put(self, item: "Any") -> None:
        self._begin_write()
        try:
            await self.out.room()
            self.out.put([item])
        finally:
            self._writing = False

    async def crd(self, buf: "Any") -> int:
        """See Base.crd."""
        if self.text_in is None:
            raise NoConsoleError(type(self).__name__)
        self._check_open()
        await self.text_in.filled()
        return _move(self.text_in, buf)

    async def cwr(self, buf: "Any") -> None:
        """See Base.cwr."""
        if self.text_out is None:
            raise NoConsoleError(type(self).__name__)
        self._check_open()
        done = 0
        while done < len(buf):
            n = await self.text_out.room()
            self.text_out.put(buf[done : done + n])
            done += n

    def inject(self, *units: "Any") -> None:
        """Have these bytes, blocks or messages arrive here, as if the line had made them up."""
        for unit in units:
            self.inp.put(unit if isinstance(self.inp.data, bytearray) else [unit])

    def reset(self) -> None:
        """Have the link replaced below this end: the next read raises LinkReset.

        What was on its way is lost. The peer does not notice.
        """
        for pipe in (self.inp, self.out):
            pipe.clear()
        self.inp.was_reset = True

    def break_(self) -> None:
        """Break the line in both directions: LinkLost. What was on its way is lost.

        When both ends have been left, and are entered again, there is a new line.
        """
        for pipe in self._pipes():
            pipe.clear()
            pipe.end(LinkLost("the line is cut"))


class MemBuf(_Mem):
    """One end of a byte stream, made by `buf_pair`."""

    _rest = b""  # of a write that was cancelled; it goes first

    async def rd(self, buf: "Any") -> int:
        """See BaseBuf.rd."""
        await self._begin_read()
        return _move(self.inp, buf)

    async def wr(self, buf: "Any") -> None:
        """See BaseBuf.wr. What a cancelled write has left over goes first in the next one."""
        self._begin_write()
        self._rest += bytes(buf)
        try:
            while self._rest:
                n = await self.out.room()
                self.out.put(self._rest[:n])
                self._rest = self._rest[n:]
        finally:
            self._writing = False

    def _closed(self) -> None:
        self._rest = b""
        _Mem._closed(self)

    def reset(self) -> None:
        """Have the link replaced below this end, see MemMsg.reset."""
        self._rest = b""
        _Mem.reset(self)

    def half_close(self) -> None:
        """Have the peer read EOFError, while this end goes on reading."""
        self.out.end(EOFError())


class MemBlk(_Mem):
    """One end of a stream of blocks, made by `blk_pair`."""

    limit: "int | None" = None  # bytes of the longest block

    async def rcv(self) -> bytes:
        """See BaseBlk.rcv."""
        return await self._take()

    async def snd(self, buf: "Any") -> None:
        """See BaseBlk.snd."""
        if self.limit is not None and len(buf) > self.limit:
            raise MessageTooLongError("%d bytes, at most %d" % (len(buf), self.limit))
        await self._put(bytes(buf))


class MemMsg(_Mem):
    """One end of a stream of messages, made by `msg_pair`."""

    async def recv(self) -> "Any":
        """See BaseMsg.recv."""
        return await self._take()

    async def send(self, msg: "Any") -> None:
        """See BaseMsg.send. The peer gets the object itself, not a copy."""
        await self._put(msg)


def _move(pipe: Pipe, buf: "Any") -> int:
    n = min(len(buf), len(pipe.data), pipe.chunk)
    buf[:n] = pipe.data[:n]
    pipe.data[0:n] = b""
    pipe.notify()
    return n


def _connect(a: _Mem, b: _Mem, console: int) -> None:
    a.peer, b.peer = b, a
    if console:
        a.text_in = b.text_out = Pipe(bytearray(), console, console)
        a.text_out = b.text_in = Pipe(bytearray(), console, console)


def buf_pair(
    size: int = 1 << 16, chunk: int = 1 << 16, hangs_up: bool = True, console: int = 0
) -> "tuple[MemBuf, MemBuf]":
    """Return two connected byte streams, not opened.

    Args:
        size: bytes that a direction holds; then a writer waits.
        chunk: bytes that are read at once.
        hangs_up: leaving one end is an EOFError for the peer's reads and LinkLost for its
            writes, as with a socket. Else the peer does not notice, as on a serial line.
        console: bytes of console text that a direction holds; 0: it carries none.
    """
    one, two = Pipe(bytearray(), size, chunk), Pipe(bytearray(), size, chunk)
    a, b = MemBuf(one, two, hangs_up), MemBuf(two, one, hangs_up)
    _connect(a, b, console)
    return a, b


def blk_pair(
    size: int = 16, limit: "int | None" = None, hangs_up: bool = True, console: int = 0
) -> "tuple[MemBlk, MemBlk]":
    """Return two connected block streams, not opened.

    Args:
        size: blocks that a direction holds; then a writer waits.
        limit: bytes of the longest block; a longer one is a MessageTooLongError.
        hangs_up: as in `buf_pair`.
        console: as in `buf_pair`.
    """
    one, two = Pipe([], size), Pipe([], size)
    a, b = MemBlk(one, two, hangs_up), MemBlk(two, one, hangs_up)
    a.limit = b.limit = limit
    _connect(a, b, console)
    return a, b


def msg_pair(size: int = 16, hangs_up: bool = True, console: int = 0) -> "tuple[MemMsg, MemMsg]":
    """Return two connected message streams, not opened.

    Args:
        size: messages that a direction holds; then a writer waits.
        hangs_up: as in `buf_pair`.
        console: as in `buf_pair`.
    """
    one, two = Pipe([], size), Pipe([], size)
    a, b = MemMsg(one, two, hangs_up), MemMsg(two, one, hangs_up)
    _connect(a, b, console)
    return a, b
