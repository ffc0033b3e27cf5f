"""A byte stream in memory, for tests: two ends with bounded buffers in between.

It keeps the contract of BaseBuf, and checks that whoever uses it keeps his side of it. It can
be broken in all the ways in which a real line breaks.
"""

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, LinkReset
from moat.micro.proto.stack import BaseBuf


class Pipe:
    """One direction."""

    def __init__(self, size, chunk):
        self.data = bytearray()
        self.size = size  # bytes that fit in
        self.chunk = chunk  # bytes that are read at once
        self.held = False  # data arrive later
        self.ended = None  # what reading raises when the data are gone
        self.was_reset = False
        self.changed = rt.Event()

    def notify(self):
        """Wake whoever waits."""
        self.changed.set()
        self.changed.clear()

    def put(self, data):
        """Add `data`, whether they fit or not."""
        self.data.extend(data)
        self.notify()

    def end(self, exc):
        """No more data: reading raises `exc` when the rest has been read."""
        if self.ended is None:
            self.ended = exc
        self.notify()


class MemBuf(BaseBuf):
    """One end of the line; made by `pair`.

    Args:
        hangs_up: leaving the context is an EOF for the peer, as with a pipe. Else the peer
            does not notice, as on a serial line.
    """

    def __init__(self, inp, out, hangs_up):
        self.inp = inp
        self.out = out
        self.hangs_up = hangs_up
        self.fails = 0  # so often entering will fail
        self.entered = 0
        self.open = False
        self._reading = self._writing = False
        self._rest = b""  # of a write that was cancelled; it goes first

    @rt.asynccontextmanager
    async def _ctx(self):
        await rt.sleep_ms(0)
        if self.fails:
            self.fails -= 1
            raise LinkLost("there is nothing there")
        self.entered += 1
        self.open = True
        try:
            yield self
        finally:
            self.open = False
            if self.hangs_up:
                self.out.end(EOFError())

    async def rd(self, buf):
        if self._reading:
            raise InUseError("two tasks read")
        self._reading = True
        inp = self.inp
        try:
            while True:
                assert self.open, "read after the end"
                if inp.was_reset:
                    inp.was_reset = False
                    raise LinkReset("reset")
                if inp.data and not inp.held:
                    n = min(len(buf), len(inp.data), inp.chunk)
                    buf[:n] = inp.data[:n]
                    inp.data[0:n] = b""
                    inp.notify()
                    return n
                if inp.ended is not None:
                    raise inp.ended
                await inp.changed.wait()
        finally:
            self._reading = False

    async def wr(self, buf):
        assert self.open, "written after the end"
        assert not self._writing, "two tasks write"
        self._writing = True
        self._rest += bytes(buf)
        try:
            while self._rest:
                out = self.out
                if out.ended is not None:
                    raise LinkLost("the line is cut")
                n = max(0, out.size - len(out.data))
                out.put(self._rest[:n])
                self._rest = self._rest[n:]
                if self._rest:
                    await out.changed.wait()
        finally:
            self._writing = False

    def inject(self, data):
        """Have `data` arrive here, as if the line had made it up."""
        self.inp.put(data)

    def reset(self):
        """Have the link replaced below us: what was on its way is lost."""
        self._rest = b""
        for pipe in (self.inp, self.out):
            pipe.data[:] = b""
            pipe.notify()
        self.inp.was_reset = True

    def cut(self):
        """Break the line for good, in both directions."""
        for pipe in (self.inp, self.out):
            pipe.data[:] = b""
            pipe.end(LinkLost("the line is cut"))

    def mute(self):
        """From now on nothing of what is written here arrives: this end has died."""
        self.out = Pipe(1 << 30, 1)

    def successor(self):
        """Return the end that takes the place of this one, which has died."""
        new = MemBuf(Pipe(self.inp.size, self.inp.chunk), self.out, self.hangs_up)
        new.inp, self.inp = self.inp, new.inp
        self.mute()
        return new


def pair(size=1 << 16, chunk=1 << 16, hangs_up=True):
    """Return two ends of a line that holds `size` bytes and hands out `chunk` bytes at once."""
    a, b = Pipe(size, chunk), Pipe(size, chunk)
    return MemBuf(a, b, hangs_up), MemBuf(b, a, hangs_up)
