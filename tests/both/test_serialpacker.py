"""SerialPackerBlkBuf: blocks of bytes and console text over one byte stream."""

from _commands import crd_all
from _helpers import raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, LinkReset, MessageTooLongError, NoConsoleError
from moat.micro.proto._serialpacker import Format
from moat.micro.proto.serialpacker import SerialPackerBlkBuf, SerialPackerBlock
from moat.micro.proto.stack import Stacked

OPTIONS = (
    {},
    {"crc": 16},
    {"frame_start": None},
    {"frame_start": 2, "max_packet": 300, "crc": 16},
    {"mark": 0x1B},
    {"mark": 0x80, "frame_start": None, "crc": 16, "max_packet": 1000},
)


def frame(data, **kw):
    """Return `data` as they are on the line."""
    return bytes(Format(**kw).encode(data))


async def rcv_all(m, found):
    """Append what arrives to `found` until the end."""
    try:
        while True:
            found.append(bytes(await m.rcv()))
    except EOFError:
        found.append("end")


def test_both_names_are_of_one_block_stream():
    assert SerialPackerBlock is SerialPackerBlkBuf
    assert issubclass(SerialPackerBlkBuf, Stacked)
    assert hasattr(SerialPackerBlkBuf, "rcv")
    assert hasattr(SerialPackerBlkBuf, "snd")


async def test_blocks_arrive_in_order_whatever_the_options_and_chunks():
    blocks = [b"x", b"\xfa\x1b\x80\x02" * 20, bytes(126), bytes(range(100)), b"\xfa" * 127]
    for options in OPTIONS:
        for chunk in (1, 2, 7, 1000):
            a, b = pair(chunk=chunk)
            one = SerialPackerBlkBuf(a, **options)
            two = SerialPackerBlkBuf(b, chunk=50, **options)
            async with one, two:
                for block in blocks:
                    await one.snd(block)
                    await two.snd(memoryview(block))
                for block in blocks:
                    assert await two.rcv() == block
                    assert await one.rcv() == block
                assert one.errors == two.errors == 0


async def test_an_empty_block_arrives():
    a, b = pair()
    async with SerialPackerBlkBuf(a) as one, SerialPackerBlkBuf(b) as two:
        await one.snd(b"")
        await one.snd(b"more")
        assert await two.rcv() == b""
        assert await two.rcv() == b"more"


async def test_senders_and_console_writers_never_mix():
    for options in OPTIONS:
        if options.get("frame_start", 1) is not None:
            await _mix(**options)


async def _mix(**options):
    a, b = pair(size=5, chunk=4)
    found, text = [], bytearray()
    left = []

    async def send(m, who):
        for i in range(8):
            await m.snd(b"%d %d " % (who, i) + b"\xfa\x02\x1b" * (i * 5))
        left.append(who)

    async def write(m, who):
        for i in range(8):
            await m.cwr(b"<%d %d %s>" % (who, i, b"." * i))
        left.append(who)

    one, two = SerialPackerBlkBuf(a, **options), SerialPackerBlkBuf(b, **options)
    async with one, two:
        async with rt.TaskGroup() as tg:
            tg.start_soon(rcv_all, two, found)
            tg.start_soon(crd_all, two, text)
            for who in range(3):
                tg.start_soon(send, one, who)
                tg.start_soon(write, one, who)
            await until(lambda: len(left) == 6)
            await until(lambda: len(found) == 24 and text.count(b">") == 24)
            tg.cancel()
        assert two.errors == 0
    for who in range(3):
        sent = [b"%d %d " % (who, i) + b"\xfa\x02\x1b" * (i * 5) for i in range(8)]
        assert [m for m in found if m[0] == ord("0") + who] == sent
    assert sorted(bytes(text)[1:-1].split(b"><")) == sorted(
        [b"%d %d %s" % (who, i, b"." * i) for who in range(3) for i in range(8)]
    )


async def test_with_a_mark_any_text_arrives():
    a, b = pair(chunk=3)
    text = bytearray()
    data = bytes(range(256)) + b"\x80\x80\xfa\x80"
    one, two = SerialPackerBlkBuf(a, mark=0x80), SerialPackerBlkBuf(b, mark=0x80)
    async with one, two, rt.TaskGroup() as tg:
        tg.start_soon(rcv_all, two, [])
        tg.start_soon(crd_all, two, text)
        await one.cwr(data)
        await until(lambda: len(text) == len(data))
        tg.cancel()
    assert text == data


async def test_without_start_and_mark_there_is_no_console():
    a, b = pair(hangs_up=False)
    async with SerialPackerBlkBuf(a, frame_start=None) as m, b:
        with raises(NoConsoleError):
            await m.cwr(b"x")
        with raises(NoConsoleError):
            await m.crd(bytearray(1))
    async with SerialPackerBlkBuf(a, frame_start=None, mark=1) as m:
        await m.cwr(b"x")


async def test_a_second_reader_is_refused_and_the_first_goes_on():
    a, b = pair()
    found = []
    async with rt.TaskGroup() as tg, SerialPackerBlkBuf(a) as one, SerialPackerBlkBuf(b) as two:
        tg.start_soon(rcv_all, two, found)
        await settle()
        with raises(InUseError):
            await two.rcv()
        await one.snd(b"x")
        await until(lambda: found)
        tg.cancel()
    assert found == [b"x"]


async def test_a_frame_that_stops_is_given_up_after_max_idle():
    a, b = pair()
    found = []
    async with rt.TaskGroup() as tg, SerialPackerBlkBuf(a, max_idle=20) as m, b:
        tg.start_soon(rcv_all, m, found)
        a.inject(b"\xfa\x64" + b"half \xfa\x95 of \xfa\x7f" + frame(b"inside"))
        await until(lambda: found)
        a.inject(frame(b"next"))
        await until(lambda: len(found) == 2)
        assert m.errors == 3
        tg.cancel()
    assert found == [b"inside", b"next"]


async def test_a_lone_mark_is_given_up_after_max_idle():
    a, b = pair()
    found = []
    async with rt.TaskGroup() as tg, SerialPackerBlkBuf(a, max_idle=20, mark=0x1B) as m, b:
        tg.start_soon(rcv_all, m, found)
        a.inject(b"\x1b")
        await until(lambda: m.look_ahead().unsettled())
        await until(lambda: not m.look_ahead().unsettled())
        a.inject(frame(b"next", mark=0x1B))
        await until(lambda: found)
        tg.cancel()
    assert found == [b"next"]


async def test_a_slow_frame_is_not_given_up():
    a, b = pair()
    found = []
    async with rt.TaskGroup() as tg, SerialPackerBlkBuf(a, max_idle=1000) as m, b:
        tg.start_soon(rcv_all, m, found)
        for byte in frame(b"slow but steady"):
            a.inject(bytes((byte,)))
            await settle()
            await rt.sleep_ms(1)
        await until(lambda: found)
        assert m.errors == 0
        tg.cancel()
    assert found == [b"slow but steady"]


async def test_a_loop_that_is_blocked_is_no_silence_on_the_line():
    a, b = pair()
    found = []
    data = frame(b"some block")
    async with rt.TaskGroup() as tg, SerialPackerBlkBuf(a, max_idle=20) as m, b:
        tg.start_soon(rcv_all, m, found)
        for i in range(3):
            a.inject(data[:5])
            await until(lambda: m.look_ahead().inside)
            start = rt.ticks_ms()
            while rt.ticks_diff(rt.ticks_ms(), start) < 50:
                pass
            a.inject(data[5:])
            await until(lambda n=i: len(found) > n or m.errors)
        assert m.errors == 0
        tg.cancel()
    assert found == [b"some block"] * 3


async def test_damage_costs_no_frame_but_its_own():
    blocks = [b"block %d" % i for i in range(6)]
    size = len(frame(blocks[0]))
    for at in range(2 * size):
        data = bytearray(b"".join([frame(block) for block in blocks]))
        data[at] ^= 0x10
        a, b = pair(chunk=20)
        async with SerialPackerBlkBuf(a, max_idle=20) as m, b:
            a.inject(data)
            found = []
            while not found or found[-1] != blocks[-1]:
                found.append(bytes(await m.rcv()))
        del blocks[at // size]
        assert found == blocks
        blocks.insert(at // size, b"block %d" % (at // size))


async def test_the_end_of_the_stream_reaches_both_readers():
    a, b = pair()
    found, text = [], bytearray()
    async with SerialPackerBlkBuf(a) as m, rt.TaskGroup() as tg:
        tg.start_soon(rcv_all, m, found)
        tg.start_soon(crd_all, m, text)
        async with b:
            await b.wr(b"some" + frame(b"1") + b" text" + frame(b"half")[:-1])
    assert found == [b"1", "end"]
    assert text == b"some text<end>"
    async with m:
        async with b:
            pass
        with raises(EOFError):
            await m.rcv()
        with raises(EOFError):
            await m.crd(bytearray(1))


async def test_a_broken_link_reaches_both_readers():
    a, b = pair()
    text = bytearray()
    async with SerialPackerBlkBuf(a) as m, b, rt.TaskGroup() as tg:
        tg.start_soon(crd_all, m, text)
        await settle()
        a.cut()
        with raises(LinkLost):
            await m.rcv()
        with raises(LinkLost):
            await m.snd(b"1")
    assert text == b"<end>"


async def test_a_reset_drops_the_half_frame_and_goes_on():
    a, b = pair()
    async with SerialPackerBlkBuf(a) as m, SerialPackerBlkBuf(b) as other, rt.TaskGroup() as tg:
        a.inject(b"text" + frame(b"half")[:-2])
        errors = []

        async def rcv():
            with raises(LinkReset):
                await m.rcv()
            errors.append(1)

        tg.start_soon(rcv)
        await settle()
        a.reset()
        await until(lambda: errors)
        await other.snd(b"new")
        assert await m.rcv() == b"new"
        buf = bytearray(10)
        assert buf[: await m.crd(buf)] == b"text"
        assert m.errors == 0


async def test_a_cancelled_read_loses_nothing():
    a, b = pair(chunk=2)
    found, text = [], bytearray()

    async def one(m):
        found.append(bytes(await m.rcv()))

    async def some(m):
        buf = bytearray(2)
        n = await m.crd(buf)
        text.extend(buf[:n])

    async with SerialPackerBlkBuf(a, chunk=3) as m, SerialPackerBlkBuf(b) as other:
        n = 0
        while len(found) < 10 or len(text) < 40:
            if n < 10:
                await other.snd(b"block %d" % n)
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
    assert found == [b"block %d" % i for i in range(10)]
    assert text == b"abcd" * 10


async def test_a_cancelled_write_leaves_no_half_frame():
    a, b = pair(size=4)
    found, text = [], bytearray()
    async with SerialPackerBlkBuf(a) as one, SerialPackerBlkBuf(b) as two:
        async with rt.TaskGroup() as tg:
            first = tg.start_soon(one.snd, b"first block")
            await settle()
            second = tg.start_soon(one.snd, b"second block")
            third = tg.start_soon(one.cwr, b"console text")
            await settle()
            second.cancel()  # while it waits for the first
            await settle()
            first.cancel()  # in the middle
            await settle()
            third.cancel()  # at its begin
            tg.start_soon(one.snd, b"last block")
            tg.start_soon(rcv_all, two, found)
            tg.start_soon(crd_all, two, text)
            await until(lambda: b"last block" in found)
            tg.cancel()
        assert two.errors == 0
    assert found == [b"first block", b"last block"]
    assert text == b"console text"


async def test_what_cannot_be_sent_is_an_error_and_sends_nothing():
    a, b = pair()
    async with SerialPackerBlkBuf(a, crc=16, max_packet=20) as m, b:
        with raises(MessageTooLongError):
            await m.snd(bytes(21))
        with raises(ValueError):
            await m.snd(b"")
        assert not b.inp.data
        await m.snd(bytes(20))
        assert b.inp.data == frame(bytes(20), crc=16)


async def test_entered_again_it_starts_afresh():
    a, b = pair(hangs_up=False)
    m = SerialPackerBlkBuf(a)
    async with b:
        async with m, rt.TaskGroup() as tg:
            a.inject(frame(b"old")[:-1])
            task = tg.start_soon(m.rcv)
            await settle()
            task.cancel()
        async with m:
            a.inject(frame(b"new"))
            assert await m.rcv() == b"new"
            assert m.errors == 0


async def test_ctrl_c_amid_a_marked_frame_counts_at_once():
    a, b = pair()
    calls = []
    m = SerialPackerBlkBuf(a, mark=0x80, max_idle=1 << 20, ctrl_c=lambda: calls.append(1))
    async with rt.TaskGroup() as tg, m, b:
        tg.start_soon(rcv_all, m, [])
        a.inject(frame(b"some block", mark=0x80)[:10])
        await until(lambda: m.look_ahead().inside)
        await settle()
        a.inject(b"\r\x03")
        await until(lambda: calls)
        tg.cancel()
