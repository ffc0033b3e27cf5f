"""Byte streams in memory, which insist on being used as the contract says."""

try:
    from moat.micro.testing.memory import MemBuf, Pipe, buf_pair
except ImportError:  # MicroPython: conftest.py has put the file's folder on the path
    from memory import MemBuf, Pipe, buf_pair


class StrictBuf(MemBuf):
    """One end of the line; made by `pair`."""

    async def rd(self, buf):
        assert self.open, "read after the end"
        return await MemBuf.rd(self, buf)

    async def wr(self, buf):
        assert self.open, "written after the end"
        assert not self._writing, "two tasks write"
        await MemBuf.wr(self, buf)

    def cut(self):
        """Break the line."""
        self.break_()

    def mute(self):
        """From now on nothing of what is written here arrives: this end has died."""
        self.out = Pipe(bytearray(), 1 << 30, 1)

    def successor(self):
        """Return the end that takes the place of this one, which has died."""
        inp = Pipe(bytearray(), self.inp.size, self.inp.chunk)
        new = StrictBuf(self.inp, self.out, self.hangs_up)
        new.peer = self.peer
        self.inp = inp
        self.mute()
        return new


def pair(size=1 << 16, chunk=1 << 16, hangs_up=True):
    """Return two ends of a line that holds `size` bytes and hands out `chunk` bytes at once."""
    a, b = buf_pair(size, chunk, hangs_up)
    one, two = StrictBuf(a.inp, a.out, hangs_up), StrictBuf(b.inp, b.out, hangs_up)
    one.peer, two.peer = two, one
    return one, two
