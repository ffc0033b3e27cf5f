"""MsgpackMsgBuf: messages and console text over one byte stream."""

from _commands import crd_all, frame, recv_all, recv_some
from _helpers import raises, settle, until
from _memory import pair
from msgpack import packb

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, LinkReset, NoConsoleError
from moat.micro.proto.msgpack import MsgpackMsgBuf

MARK = b"\xc1"


async def test_messages_arrive_in_order_whatever_the_chunks():
    msgs = [None, True, -5, 70000, "tést", b"\xc1\x03", [1, [2]], {"a": {"b": 1.5}}, {7: "x"}]
    for chunk in (1, 2, 7, 1000):
        a, b = pair(chunk=chunk)
        async with MsgpackMsgBuf(a) as one, MsgpackMsgBuf(b, chunk=50) as two:
            for msg in msgs:
                await one.send(msg)
                await two.send([msg])
            assert await recv_some(two, len(msgs)) == msgs
            assert await recv_some(one, len(msgs)) == [[msg] for msg in msgs]
            assert one.errors == two.errors == 0


async def test_senders_and_console_writers_never_mix():
    a, b = pair(size=5, chunk=4)
    found, text = [], bytearray()
    left = []

    async def send(m, who):
        for i in range(8):
            await m.send([who, i, b"\xc1" * (i * 5)])
        left.append(who)

    async def write(m, who):
        for i in range(8):
            await m.cwr(b"<%d %d %s>" % (who, i, b"." * i))
        left.append(who)

    async with MsgpackMsgBuf(a) as one, MsgpackMsgBuf(b) as two:
        async with rt.TaskGroup() as tg:
            tg.start_soon(recv_all, two, found)
            tg.start_soon(crd_all, two, text)
            for who in range(3):
                tg.start_soon(send, one, who)
                tg.start_soon(write, one, who)
            await until(lambda: len(left) == 6)
            await until(lambda: len(found) == 24 and text.count(b">") == 24)
            tg.cancel()
        assert two.errors == 0
    for who in range(3):
        assert [m for m in found if m[0] == who] == [[who, i, b"\xc1" * (i * 5)] for i in range(8)]
    assert sorted(bytes(text)[1:-1].split(b"><")) == sorted(
        [b"%d %d %s" % (who, i, b"." * i) for who in range(3) for i in range(8)]
    )


async def test_a_second_reader_is_refused_and_the_first_goes_on():
    a, b = pair()
    found = []
    async with rt.TaskGroup() as tg, MsgpackMsgBuf(a) as one, MsgpackMsgBuf(b) as two:
        tg.start_soon(recv_all, two, found)
        await settle()
        with raises(InUseError):
            await two.recv()
        await one.send("x")
        await until(lambda: found)
        tg.cancel()
    assert found == ["x"]


async def test_a_message_that_stops_is_given_up_after_the_gap():
    a, b = pair()
    found = []
    async with rt.TaskGroup() as tg, MsgpackMsgBuf(a, gap_ms=20) as m, b:
        tg.start_soon(recv_all, m, found)
        a.inject(MARK + b"\xc4\x64" + b"half \xc1\x95 of \xc1\xda\x01\x01" + frame("inside"))
        await until(lambda: found)
        a.inject(frame("next"))
        await until(lambda: len(found) == 2)
        assert m.errors == 3
        assert not m.look_ahead().unsettled()
        tg.cancel()
    assert found == ["inside", "next"]


async def test_a_slow_message_is_not_given_up():
    a, b = pair()
    found = []
    async with rt.TaskGroup() as tg, MsgpackMsgBuf(a, gap_ms=1000) as m, b:
        tg.start_soon(recv_all, m, found)
        for byte in frame("slow but steady"):
            a.inject(bytes((byte,)))
            await settle()
            await rt.sleep_ms(1)
        await until(lambda: found)
        assert m.errors == 0
        tg.cancel()
    assert found == ["slow but steady"]


async def test_a_loop_that_is_blocked_is_no_silence_on_the_line():
    a, b = pair()
    found = []
    data = frame("some message")
    async with rt.TaskGroup() as tg, MsgpackMsgBuf(a, gap_ms=20) as m, b:
        tg.start_soon(recv_all, m, found)
        for i in range(3):
            a.inject(data[:5])
            await until(lambda: m.look_ahead().unsettled())
            start = rt.ticks_ms()
            while rt.ticks_diff(rt.ticks_ms(), start) < 50:
                pass
            a.inject(data[5:])
            await until(lambda n=i: len(found) > n or m.errors)
        assert m.errors == 0
        tg.cancel()
    assert found == ["some message"] * 3


async def test_the_end_of_the_stream_reaches_both_readers():
    a, b = pair()
    found, text = [], bytearray()
    async with MsgpackMsgBuf(a) as m, rt.TaskGroup() as tg:
        tg.start_soon(recv_all, m, found)
        tg.start_soon(crd_all, m, text)
        async with b:
            await b.wr(b"some" + frame(1) + b" text" + MARK + b"\x93\x01")
    assert found == [1, "end"]
    assert text == b"some text<end>"
    async with m:
        async with b:
            pass
        with raises(EOFError):
            await m.recv()
        with raises(EOFError):
            await m.crd(bytearray(1))


async def test_a_broken_link_reaches_both_readers():
    a, b = pair()
    text = bytearray()
    async with MsgpackMsgBuf(a) as m, b, rt.TaskGroup() as tg:
        tg.start_soon(crd_all, m, text)
        await settle()
        a.cut()
        with raises(LinkLost):
            await m.recv()
        with raises(LinkLost):
            await m.send(1)
    assert text == b"<end>"


async def test_a_reset_drops_the_half_message_and_goes_on():
    a, b = pair()
    async with MsgpackMsgBuf(a) as m, MsgpackMsgBuf(b) as other, rt.TaskGroup() as tg:
        a.inject(b"text" + MARK + b"\xc4\x64half")
        errors = []

        async def recv():
            with raises(LinkReset):
                await m.recv()
            errors.append(1)

        tg.start_soon(recv)
        await settle()
        a.reset()
        await until(lambda: errors)
        await other.send({"new": 1})
        assert await m.recv() == {"new": 1}
        buf = bytearray(10)
        assert buf[: await m.crd(buf)] == b"text"
        assert m.errors == 0


async def test_a_cancelled_read_loses_nothing():
    a, b = pair(chunk=2)
    found, text = [], bytearray()

    async def one(m):
        found.append(await m.recv())

    async def some(m):
        buf = bytearray(2)
        n = await m.crd(buf)
        text.extend(buf[:n])

    async with MsgpackMsgBuf(a, chunk=3) as m, MsgpackMsgBuf(b) as other:
        n = 0
        while len(found) < 10 or len(text) < 40:
            if n < 10:
                await other.send(["message", n])
                await other.cwr(b"abcd")
            async with rt.TaskGroup() as tg:
                tg.start_soon(one, m)
                tg.start_soon(some, m)
                for _ in range(n % 4 + 1):
                    await rt.sleep_ms(0)
                tg.cancel()
            n += 1
            assert n < 1000
        assert m.errors == 0
    assert found == [["message", i] for i in range(10)]
    assert text == b"abcd" * 10


async def test_a_cancelled_write_leaves_no_half_message():
    a, b = pair(size=4)
    found, text = [], bytearray()
    async with MsgpackMsgBuf(a) as one, MsgpackMsgBuf(b) as two:
        async with rt.TaskGroup() as tg:
            first = tg.start_soon(one.send, "first message")
            await settle()
            second = tg.start_soon(one.send, "second message")
            third = tg.start_soon(one.cwr, b"console text")
            await settle()
            second.cancel()  # while it waits for the first
            await settle()
            first.cancel()  # in the middle
            await settle()
            third.cancel()  # at its begin
            tg.start_soon(one.send, "last message")
            tg.start_soon(recv_all, two, found)
            tg.start_soon(crd_all, two, text)
            await until(lambda: "last message" in found)
            tg.cancel()
        assert two.errors == 0
    assert found == ["first message", "last message"]
    assert text == b"console text"


async def test_what_cannot_be_encoded_is_an_error_and_sends_nothing():
    a, b = pair()
    async with MsgpackMsgBuf(a) as m, b:
        with raises(TypeError):
            await m.send([1, object()])
        assert not b.inp.data
        await m.send(1)
        assert b.inp.data == frame(1)


async def test_what_cannot_be_decoded_is_skipped_and_counted():
    a, b = pair()
    bad = [
        b"\xa1\xff",  # no UTF-8
        b"\x81\x90\x01",  # an array is no key
        b"\x81\x80\x01",  # neither is a map
        b"\xd7\xff" + b"\xff" * 8,  # a point of time that does not exist
        b"\x91" * 2000 + b"\x01",  # deep
    ]
    async with MsgpackMsgBuf(a) as m, b:
        for data in bad:
            before = m.errors
            a.inject(MARK + data + frame("good"))
            msg = await m.recv()
            if msg != "good":  # a receiver may be able to do it
                assert isinstance(msg, (dict, list))
                msg = await m.recv()
            else:
                assert m.errors == before + 1
            assert msg == "good"
        assert m.errors >= 3


async def test_a_message_beyond_the_limit_is_skipped_and_counted():
    a, b = pair(chunk=10)
    async with MsgpackMsgBuf(a, limit=50) as m, MsgpackMsgBuf(b) as other:
        await other.send("x" * 48)
        await other.send("x" * 49)
        await other.send(bytes(5000))
        await other.send("good")
        assert await m.recv() == "x" * 48
        assert await m.recv() == "good"
        assert m.errors == 2


async def test_garbage_never_stops_the_reader():
    a, b = pair(chunk=100)
    seed = 12345
    noise = bytearray()
    for _ in range(3000):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        noise.append(0xC1 if seed & 0xF0000 == 0 else seed >> 20 & 255)
    found = []
    async with rt.TaskGroup() as tg, MsgpackMsgBuf(a, limit=200, gap_ms=20) as m, b:
        tg.start_soon(recv_all, m, found)
        a.inject(noise)
        await until(lambda: not a.inp.data and not m.look_ahead().unsettled())
        a.inject(frame("good"))
        await until(lambda: found and found[-1] == "good")
        assert m.errors > 10
        tg.cancel()


async def test_entered_again_it_starts_afresh():
    a, b = pair(hangs_up=False)
    m = MsgpackMsgBuf(a, gap_ms=20)
    async with b:
        async with m, rt.TaskGroup() as tg:
            a.inject(MARK + b"\xc4\x05ab")
            task = tg.start_soon(m.recv)
            await settle()
            task.cancel()
        async with m:
            assert not m.look_ahead().unsettled()
            a.inject(frame("new"))
            assert await m.recv() == "new"


async def test_without_a_prefix_there_are_messages_only():
    a, b = pair(chunk=1)
    async with MsgpackMsgBuf(a, prefix=None) as one, MsgpackMsgBuf(b, prefix=None) as two:
        await one.send([1, "x"])
        assert b.inp.data == packb([1, "x"])
        assert await two.recv() == [1, "x"]
        with raises(NoConsoleError):
            await one.cwr(b"x")
        with raises(NoConsoleError):
            await one.crd(bytearray(1))


async def test_another_prefix():
    a, b = pair()
    async with MsgpackMsgBuf(a, prefix=0x1E) as one, MsgpackMsgBuf(b, prefix=0x1E) as two:
        await one.send(5)
        assert b.inp.data == b"\x1e\x05"
        assert await two.recv() == 5
