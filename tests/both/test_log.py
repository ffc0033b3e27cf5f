"""LogBuf, LogBlk, LogMsg, and the lines that they make."""

from _blocks import blk_pair
from _clock import Clock
from _helpers import raises, settle
from _memory import pair
from test_reconnect import rd

from moat.micro import rt
from moat.micro.errors import LinkLost, LinkReset, NoConsoleError
from moat.micro.proto._log import Lines, brief, dump
from moat.micro.proto.log import LogBlk, LogBuf, LogMsg
from moat.micro.proto.msgpack import MsgpackMsgBlk


class Events:
    """A sink that keeps what it is told."""

    def __init__(self):
        self.list = []

    def __call__(self, ticks, op, data, exc):
        if isinstance(data, (memoryview, bytearray)):
            data = bytes(data)
        self.list.append((op, data, type(exc) if exc else None))


async def test_bytes_pass_and_are_told_in_both_directions():
    a, b = pair()
    events = Events()
    async with LogBuf(a, sink=events) as s:
        await s.wr(b"out")
        a.inject(b"input")
        assert await rd(s, 3) == b"inp"
        assert await rd(s) == b"ut"
    assert b.inp.data == b"out"
    assert events.list == [
        ("enter", None, None),
        ("wr", b"out", None),
        ("rd", b"inp", None),
        ("rd", b"ut", None),
        ("leave", None, None),
    ]


async def test_blocks_and_messages_pass_with_their_console():
    for layer, put, get, one, two in (
        (LogBlk, "snd", "rcv", b"\x01\x02", b"three"),
        (
            lambda blk, sink: LogMsg(MsgpackMsgBlk(blk), sink=sink),
            "send",
            "recv",
            [1, b"x"],
            {2: 3},
        ),
    ):
        a, b = blk_pair()
        events = Events()
        async with layer(a, sink=events) as s, layer(b, sink=Events()) as peer:
            await getattr(s, put)(one)
            assert await getattr(peer, get)() == one
            await getattr(peer, put)(two)
            assert await getattr(s, get)() == two
            await s.cwr(b"text")
            a.text.extend(b"abc")
            buf = bytearray(2)
            assert await s.crd(buf) == 2
        assert events.list[1:-1] == [
            (put, one, None),
            (get, two, None),
            ("cwr", b"text", None),
            ("crd", b"ab", None),
        ]


async def test_errors_are_told_and_raised():
    a, _ = blk_pair()
    events = Events()
    async with LogBlk(a, sink=events) as s:
        for exc in (LinkReset("reset"), EOFError()):
            a.inject(exc)
            with raises(type(exc)):
                await s.rcv()
    a, _b = pair()
    async with LogBuf(a, sink=events) as s:
        with raises(NoConsoleError):
            await s.crd(bytearray(1))
        a.cut()
        with raises(LinkLost):
            await s.wr(b"x")
    assert [e for e in events.list if e[0] not in ("enter", "leave")] == [
        ("rcv", None, LinkReset),
        ("rcv", None, EOFError),
        ("crd", None, NoConsoleError),
        ("wr", b"x", None),
        ("wr", None, LinkLost),
    ]


async def test_an_object_that_cannot_be_sent_is_told():
    a, _b = blk_pair()
    events = Events()
    async with LogMsg(MsgpackMsgBlk(a), sink=events) as s:
        odd = object()
        with raises(TypeError):
            await s.send(odd)
    assert events.list[1:-1] == [("send", odd, None), ("send", None, TypeError)]


async def test_entering_and_leaving_are_told_with_their_errors():
    a, _ = pair()
    a.fails = 1
    events = Events()
    s = LogBuf(a, sink=events)
    with raises(LinkLost):
        async with s:
            raise AssertionError
    with raises(ValueError):
        async with s:
            raise ValueError
    assert events.list == [
        ("enter", None, LinkLost),
        ("enter", None, None),
        ("leave", None, ValueError),
    ]


async def test_a_cancelled_read_tells_nothing_and_loses_nothing():
    a, _ = pair()
    events = Events()
    async with rt.TaskGroup() as tg, LogBuf(a, sink=events) as s:
        task = tg.start_soon(rd, s)
        await settle()
        task.cancel()
        await settle()
        a.inject(b"data")
        assert await rd(s) == b"data"
    assert events.list[1:-1] == [("rd", b"data", None)]


async def test_empty_writes_pass_untold():
    a, _ = pair()
    events = Events()
    async with LogBuf(a, sink=events) as s:
        await s.wr(b"")
    assert len(events.list) == 2


async def test_a_sink_that_fails_does_no_harm():
    calls = []

    def sink(*args):
        calls.append(args)
        raise OSError(28)

    a, b = pair()
    async with LogBuf(a, sink=sink) as s:
        await s.wr(b"one")
        await s.wr(b"two")
        assert b.inp.data == b"onetwo"
        assert isinstance(s.failed, OSError)
    assert len(calls) == 1


async def test_lines():
    a, _b = pair()
    lines = []
    with Clock(1234) as clock:
        async with LogBuf(a, sink=Lines(lines.append, "usb")) as s:
            clock.now += 6
            await s.wr(b"hi.\n")
            a.cut()
            with raises(LinkLost):
                await rd(s)
    assert lines == [
        "1234 usb enter",
        "1240 usb > wr 4: 68 69 2e 0a |hi..|",
        "1240 usb < rd failed: LinkLost: the line is cut",
        "1240 usb leave",
    ]
    lines = []
    line = Lines(lines.append)
    line(5, "send", [1, "ping", b"\x05"], None)
    line(6, "leave", None, ValueError("two\nlines"))
    assert lines == ["5 > send: [1, 'ping', b'\\x05']", "6 leave: ValueError: two lines"]


async def test_the_default_sink_takes_everything():
    a, b = pair()
    async with LogBuf(a, "name") as s:
        await s.wr(b"out")
        assert s.failed is None
    assert b.inp.data == b"out"


def test_bytes_are_shown_as_far_as_there_is_room():
    assert dump(b"", 20) == " ||"
    assert dump(b"a\xff", 20) == "61 ff |a.|"
    for n in range(60):
        for width in range(6, 100):
            text = dump(memoryview(b"x" * n), width)
            assert len(text) <= width
            assert (" .. |" in text) == (n > (width - 6) // 4)


def test_objects_are_shown_as_far_as_there_is_room():
    assert brief([1, (2, "x"), {"k": None}, b"y", bytearray(b"z")], 80) == (
        "[1, [2, 'x'], {'k': None}, b'y', b'z']"
    )
    deep = []
    for _ in range(100):
        deep = [deep]
    loop = []
    loop.append(loop)
    big = list(range(5000)), {i: "text" * i for i in range(50)}, b"x" * 10000, "y" * 10000
    for obj in (deep, loop, list(big), big[0], big[1], big[2], big[3], [[[big], big], big]):
        for width in (0, 1, 5, 40, 200):
            assert len(brief(obj, width)) <= max(2, width)
        assert ".." in brief(obj, 40)
