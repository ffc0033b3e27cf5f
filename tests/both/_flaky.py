"""A byte stream that can be opened again and again, and breaks when a test says so."""

from _helpers import until
from _memory import pair

from moat.micro import rt
from moat.micro.errors import NoConsoleError
from moat.micro.proto.stack import BaseBuf, StackedBuf


class Flaky(BaseBuf):
    """Each time it is entered it is a new line in memory, whose other end is `peer`.

    `script` tells what entering does: an exception is raised, an Event waited for; None, and
    the end of the list: it opens. `fault` is raised by the next read or write.
    """

    def __init__(self, *script, size=1 << 16):
        self.script = list(script)
        self.size = size
        self.log = []  # "enter", "leave"
        self.peer = None
        self.fault = None
        self.leaving = None  # an exception that leaving raises, an event that it waits for
        self.text = None  # console text, read as it is written; None: there is no console
        self.printed = rt.Event()
        self.inside = 0
        self._near = None

    @rt.asynccontextmanager
    async def _ctx(self):
        assert self._near is None, "entered twice"
        what = self.script.pop(0) if self.script else None
        self.log.append("enter")
        try:
            await rt.sleep_ms(0)
            if isinstance(what, Exception):
                raise what
            if what is not None:
                await what.wait()
            self._near, self.peer = pair(self.size)
            async with self._near:
                yield self
        finally:
            assert not self.inside, "left while somebody is inside"
            self._near = None
            self.log.append("leave")
        what, self.leaving = self.leaving, None
        if isinstance(what, Exception):
            raise what
        if what is not None:
            await what.wait()

    async def rd(self, buf):
        return await self._call(self._near.rd, buf)

    async def wr(self, buf):
        await self._call(self._near.wr, buf)

    async def crd(self, buf):
        return await self._call(self._crd, buf)

    async def _crd(self, buf):
        if self.text is None:
            raise NoConsoleError
        while not self.text:
            self.printed.clear()
            await self.printed.wait()
        n = min(len(buf), len(self.text))
        buf[:n] = self.text[:n]
        self.text[:n] = b""
        return n

    async def cwr(self, buf):
        await self._call(self._cwr, buf)

    async def _cwr(self, buf):
        self.text.extend(buf)
        self.printed.set()

    async def _call(self, fn, buf):
        exc, self.fault = self.fault, None
        if exc is not None:
            raise exc
        self.inside += 1
        try:
            return await fn(buf)
        finally:
            self.inside -= 1

    def give(self, data):
        """Have `data` arrive."""
        self._near.inject(data)

    def cut(self):
        """Break the line; reading and writing fail."""
        self._near.cut()

    def end(self):
        """End the line, as a peer that closes it."""
        self._near.inp.end(EOFError())

    @property
    def sent(self):
        """What was written to the present line, as far as nobody has read it."""
        return bytes(self.peer.inp.data)


class FarEnd(StackedBuf):
    """The other end of a Flaky: entering waits until that one is entered, and plugged in."""

    def __init__(self, near):
        self.near = near
        self.used = None

    @rt.asynccontextmanager
    async def _ctx(self):
        await until(lambda: self.near.peer is not self.used)
        self.used = self.near.peer
        async with self.used as self.s:
            yield self
