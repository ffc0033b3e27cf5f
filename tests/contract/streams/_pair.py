"""What a pair of connected streams is, and the table of all of them.

A class is registered by a few lines in _pairs.py (it runs on both sides), _pairs_host.py or
_pairs_device.py:

    @pair(BUF, "MyBuf")
    async def my_buf(p):
        a, b = buf_pair()
        p.cut = a.break_
        yield p.of(MyBuf(a), MyBuf(b))

What the body does after the `yield` cleans up. What a class does not have is said in the
arguments of `pair`, and the checks of it are left out.
"""

import sys

from moat.micro import rt
from moat.micro.errors import LinkLost

LOST = (EOFError, LinkLost)
ON_DEVICE = sys.implementation.name == "micropython"
BUF, BLK, MSG = "Buf", "Blk", "Msg"
STEPS = 25  # an operation that takes more waits is not cancelled later than that

MAKERS = []


class Pair:
    """Two connected streams; `a` is of the class under test, `b` too where that makes sense."""

    a = b = None
    cut = None  # breaks the link; may be async
    half_close = None  # has `a` read EOFError, while `b` goes on reading; may be async
    reset = None  # has the link below `a` replaced

    def of(self, a, b):
        """Set both and return the pair."""
        self.a, self.b = a, b
        return self


class Maker:
    """How pairs of one class are made, and what that class has.

    Args:
        kind: its contract: BUF, BLK or MSG.
        name: of the class.
        ends: what reading raises when the peer has been left; None: it does not notice.
        again: it can be entered again after it was left.
        early: the peer can be entered, and send, before this one is entered.
        console: it carries console bytes.
        cuts: Pair.cut is set.
        halves: Pair.half_close is set.
        resets: Pair.reset is set: LinkReset passes through.
        holds: bytes after which a writer has to wait, at the latest, while nobody reads.
        big: bytes of a large unit.
        huge: bytes of a unit that is not sent at once while nobody reads, ...
        fills: ... when so many small units have been sent before.
        too_long: bytes of a unit that is refused with MessageTooLongError.
        steps: an operation is cancelled after 0, 1, ... up to so many steps of the scheduler.
        side: "host", "device", or "both"; set by the file that it stands in.
    """

    side = "both"

    def __init__(self, kind, name, fn, ends=EOFError, again=True, early=False, console=False,
                 cuts=True, halves=False, resets=False, holds=1 << 20, big=3000, huge=3000,
                 fills=0, too_long=None, steps=STEPS):  # fmt: skip
        self.kind, self.name = kind, name
        self.ends, self.again, self.early, self.console = ends, again, early, console
        self.cuts, self.halves, self.resets = cuts, halves, resets
        self.holds, self.big, self.huge, self.fills = holds, big, huge, fills
        self.too_long, self.steps = too_long, steps
        self._fn = rt.asynccontextmanager(fn)

    def pair(self):
        """Return a context manager that gives a new Pair."""
        return self._fn(Pair())

    def opened(self):
        """Return a context manager that gives an Opened pair."""
        return opened(self)


def pair(kind, name, **what):
    """Decorator: registers the maker of a class."""

    def register(fn):
        MAKERS.append(Maker(kind, name, fn, **what))
        return fn

    return register


# ---- units: what is sent is numbered, so that loss, doubles and halves show


_PERIOD = 251


def _body(number, size=_PERIOD):
    return bytes([(number + i) & 0xFF for i in range(min(size, _PERIOD))])


def unit(number, size):
    """Return a unit as bytes, `size` of them or 8."""
    size = max(8, size)
    head = number.to_bytes(4, "big") + size.to_bytes(4, "big")
    return head + (_body(number, size) * (size // _PERIOD + 1))[: size - 8]


def number_of(data, end=None):
    """Return the number of a whole and undamaged unit, which ends there."""
    number, size = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    end = len(data) if end is None else end
    assert end == size, (end, size)
    body = _body(number)
    for i in range(8, size, _PERIOD):  # large units do not fit twice into a device's memory
        part = bytes(data[i : min(i + _PERIOD, size)])
        assert part == body[: len(part)], "unit %d is damaged at %d" % (number, i)
    return number


class BufEnd:
    """Numbered units over a byte stream."""

    def __init__(self, s):
        self.s = s
        self._data = bytearray()
        self._buf = bytearray(777)

    def put(self, number, size=20):
        """Write a unit; awaitable."""
        return self.s.wr(unit(number, size))

    async def get(self):
        """Read a unit and return its number. Cancelling it loses nothing."""
        data = self._data
        while len(data) < 8 or len(data) < int.from_bytes(data[4:8], "big"):
            n = await self.s.rd(self._buf)
            assert 1 <= n <= len(self._buf)
            data.extend(memoryview(self._buf)[:n])
        size = int.from_bytes(data[4:8], "big")
        number = number_of(data, size)
        data[:size] = b""
        return number

    def read(self):
        """Read once; awaitable."""
        return self.s.rd(self._buf)


class BlkEnd:
    """Numbered units over a stream of blocks."""

    def __init__(self, s):
        self.s = s

    def put(self, number, size=20):
        """Send a unit; awaitable."""
        return self.s.snd(unit(number, size))

    async def get(self):
        """Receive a unit and return its number."""
        return number_of(await self.s.rcv())

    def read(self):
        """Receive once; awaitable."""
        return self.s.rcv()


class MsgEnd(BlkEnd):
    """Numbered units over a stream of messages."""

    def put(self, number, size=20):
        """Send a unit; awaitable."""
        return self.s.send([number, {"data": unit(number, size)}])

    async def get(self):
        """Receive a unit and return its number."""
        number, body = await self.s.recv()
        assert number_of(body["data"]) == number
        return number

    def read(self):
        """Receive once; awaitable."""
        return self.s.recv()


ENDS = {BUF: BufEnd, BLK: BlkEnd, MSG: MsgEnd}


class Opened:
    """A pair that is entered: `a` and `b` send units, `sa` and `sb` are the streams."""

    def __init__(self, maker, p, sa, sb):
        self.pair, self.sa, self.sb = p, sa, sb
        self.a, self.b = ENDS[maker.kind](sa), ENDS[maker.kind](sb)


@rt.asynccontextmanager
async def opened(maker):
    """Make a pair and enter both streams."""
    async with maker.pair() as p, p.a as sa, p.b as sb:
        yield Opened(maker, p, sa, sb)


async def call(fn):
    """Call a function that may be async."""
    res = fn()
    if rt.is_coroutine(res):
        await res


async def cancel_after(tg, steps, fn, *args):
    """Start a task and cancel it after so many steps of the scheduler."""
    task = tg.start_soon(fn, *args)
    for _ in range(steps):
        await rt.sleep_ms(0)
    task.cancel()
