"""Framed, with each codec: the console text beside the messages, and Ctrl-C in it."""

from _commands import crd_all
from _helpers import raises, until
from _memory import pair
from msgpack import packb

from moat.micro import rt
from moat.micro.proto._serialpacker import Format
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.serialpacker import SerialPackerBlkBuf

THREES = b"\x03" * 20


class Codec:
    """A codec with some options; messages are bytes."""

    gap = "max_idle"

    def __init__(self, **options):
        self.options = options

    def open(self, parent, gap_ms=100, **kw):
        """Return the stream on `parent`."""
        kw[self.gap] = gap_ms
        kw.update(self.options)
        return SerialPackerBlkBuf(parent, **kw)

    def frame(self, data):
        """Return `data` as they are on the line."""
        return bytes(Format(**self.options).encode(data))

    async def send(self, m, data):
        """Send a message."""
        await m.snd(data)

    async def recv(self, m):
        """Receive a message."""
        return await m.rcv()


class Msgpack(Codec):
    """The same, with the other codec."""

    gap = "gap_ms"

    def open(self, parent, gap_ms=100, **kw):
        kw[self.gap] = gap_ms
        return MsgpackMsgBuf(parent, **kw)

    def frame(self, data):
        return b"\xc1" + packb(data)

    async def send(self, m, data):
        await m.send(data)

    async def recv(self, m):
        return await m.recv()


CODECS = (Msgpack(), Codec(), Codec(crc=16, mark=0x80), Codec(frame_start=None, mark=0x1B))


def count(calls):
    """Return a function that counts its calls."""
    return lambda: calls.append(1)


async def text_of(m):
    """Return the console text that is there."""
    buf = bytearray(100)
    return bytes(buf[: await m.crd(buf)])


async def recv_all(codec, m, found):
    """Append what arrives to `found` until it is cancelled."""
    while True:
        found.append(bytes(await codec.recv(m)))


async def test_console_text_passes_in_both_directions_beside_messages():
    for codec in CODECS:
        a, b = pair(chunk=3)
        found, text = [[], []], [bytearray(), bytearray()]
        one, two = codec.open(a), codec.open(b)
        async with rt.TaskGroup() as tg, one, two:
            for i, m in enumerate((one, two)):
                tg.start_soon(recv_all, codec, m, found[i])
                tg.start_soon(crd_all, m, text[i])
            for i in range(5):
                await one.cwr(b"hello %d\n" % i)
                await codec.send(one, b"%d" % i)
                await codec.send(two, b"-%d" % i)
                await two.cwr("wörld\n".encode())
            await until(lambda f=found: len(f[0]) == 5 and len(f[1]) == 5)
            await until(lambda t=text: len(t[0]) == 5 * 7 and len(t[1]) == 5 * 8)
            tg.cancel()
        assert found == [[b"-%d" % i for i in range(5)], [b"%d" % i for i in range(5)]]
        assert text[0] == "wörld\n".encode() * 5
        assert text[1] == b"".join([b"hello %d\n" % i for i in range(5)])


async def test_text_ahead_of_a_message_wakes_its_reader_at_once():
    for codec in CODECS:
        a, b = pair()
        text = bytearray()
        async with rt.TaskGroup() as tg, codec.open(a) as m, b:
            tg.start_soon(crd_all, m, text)
            await rt.sleep_ms(0)
            a.inject(b"text" + codec.frame(b"1"))
            a.inject(codec.frame(b"2"))
            assert await codec.recv(m) == b"1"
            await until(lambda t=text: t == b"text")
            tg.cancel()


async def test_text_that_nobody_reads_is_bounded():
    for codec in CODECS:
        a, b = pair(chunk=16)
        async with codec.open(a, console=20) as m, b:
            a.inject(b"0123456789" * 50 + codec.frame(b"1"))
            assert await codec.recv(m) == b"1"
            assert await text_of(m) == b"0123456789" * 2


async def test_ctrl_c_counts_outside_of_messages_only():
    for codec in CODECS:
        a, b = pair()
        calls = []
        async with codec.open(a, ctrl_c=count(calls)) as m, b:
            a.inject(codec.frame(THREES))
            assert await codec.recv(m) == THREES
            assert not calls
            a.inject(b"\r\x03" + codec.frame(b"1"))
            await codec.recv(m)
            a.inject(codec.frame(b"2"))
            await codec.recv(m)
            assert calls == [1]


async def test_ctrl_c_counts_although_its_text_was_read_already():
    for codec in CODECS:
        a, b = pair()
        calls = []
        async with codec.open(a, ctrl_c=count(calls)) as m, b:
            a.inject(b"\r\x03" + codec.frame(b"1"))
            await codec.recv(m)
            assert await text_of(m) == b"\r\x03"
            a.inject(codec.frame(b"2"))
            await codec.recv(m)
            assert calls == [1]


async def test_ctrl_c_may_raise_and_nothing_is_lost():
    def interrupt():
        raise OverflowError

    for codec in CODECS:
        a, b = pair()
        async with codec.open(a, ctrl_c=interrupt) as m, b:
            a.inject(codec.frame(b"1") + b"\r\x03" + codec.frame(b"2") + b"more")
            assert await codec.recv(m) == b"1"
            assert await codec.recv(m) == b"2"
            with raises(OverflowError):
                await codec.recv(m)
            a.inject(codec.frame(b"3"))
            assert await codec.recv(m) == b"3"
            assert await text_of(m) == b"\r\x03more"


async def test_behind_a_broken_message_ctrl_c_counts_after_a_silence():
    for codec in CODECS:
        a, b = pair()
        found, calls = [], []
        m = codec.open(a, gap_ms=20, ctrl_c=count(calls))
        async with rt.TaskGroup() as tg, m, b:
            tg.start_soon(recv_all, codec, m, found)
            a.inject(codec.frame(THREES)[:-12])
            await until(lambda m=m: m.look_ahead().inside)
            await until(lambda m=m: not m.look_ahead().unsettled())
            assert m.errors
            assert not calls
            a.inject(b"\r\x03" + codec.frame(b"1"))
            await until(lambda f=found: f)
            a.inject(codec.frame(b"2"))
            await until(lambda f=found: len(f) == 2)
            assert calls == [1]
            tg.cancel()


async def test_what_is_looked_at_ahead_still_arrives():
    for codec in CODECS:
        a, b = pair()
        found = []
        async with rt.TaskGroup() as tg, codec.open(a, gap_ms=5000) as m, b:
            tg.start_soon(recv_all, codec, m, found)
            data = codec.frame(THREES)
            a.inject(data[:9])
            await until(lambda m=m: m.look_ahead().inside)
            ahead = m.look_ahead()
            ahead.feed(data[9:])
            assert ahead.next() in (THREES, packb(THREES))
            assert not ahead.ctrl_c
            ahead.feed(b"\r\x03")
            assert ahead.next() is None
            assert ahead.ctrl_c
            a.inject(data[9:])
            await until(lambda f=found: f)
            tg.cancel()
        assert found == [THREES]
