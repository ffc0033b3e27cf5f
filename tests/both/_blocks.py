"""A block stream in memory, for tests, with a console beside it."""

from moat.micro import rt
from moat.micro.errors import InUseError
from moat.micro.proto.stack import BaseBlk


class MemBlk(BaseBlk):
    """One end; what it is given arrives at `peer`. Made by `blk_pair`."""

    peer = None

    def __init__(self):
        self.arrived = []  # blocks that wait to be read, or what reading raises
        self.text = bytearray()  # console bytes that wait to be read
        self._reading = False
        self._changed = rt.Event()

    def inject(self, what):
        """Have a block arrive here, or have reading raise an exception."""
        self.arrived.append(what)
        self._changed.set()

    async def rcv(self):
        if self._reading:
            raise InUseError("two tasks read")
        self._reading = True
        try:
            while not self.arrived:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._reading = False
        what = self.arrived.pop(0)
        if isinstance(what, Exception):
            raise what
        return what

    async def snd(self, buf):
        await rt.sleep_ms(0)
        self.peer.inject(bytes(buf))

    async def crd(self, buf):
        n = min(len(buf), len(self.text))
        buf[:n] = self.text[:n]
        self.text[:n] = b""
        return n

    async def cwr(self, buf):
        self.peer.text.extend(buf)


def blk_pair():
    """Return two ends that are connected."""
    a, b = MemBlk(), MemBlk()
    a.peer, b.peer = b, a
    return a, b
