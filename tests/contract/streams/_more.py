"""What the streams of one kind have to keep beyond _checks.py."""

from _helpers import raises
from _pair import BLK, BUF, MSG, unit

from moat.micro import rt
from moat.micro.errors import MessageTooLongError

# ---- byte streams


async def rd_gives_what_is_there(maker):
    async with maker.opened() as o:
        buf = bytearray(100)
        await o.sb.wr(b"abc")
        data = b""
        while len(data) < 3:
            n = await o.sa.rd(buf)
            assert 1 <= n <= 3
            data += buf[:n]
        assert data == b"abc"


async def rd_fills_no_more_than_the_buffer(maker):
    async with maker.opened() as o:
        await o.sb.wr(bytes(range(100)))
        data = b""
        buf = bytearray(b"\xee" * 9)
        while len(data) < 100:
            n = await o.sa.rd(memoryview(buf)[1:8])
            assert 1 <= n <= 7
            assert buf[0] == buf[8] == 0xEE
            data += buf[1 : n + 1]
        assert data == bytes(range(100))


async def what_was_written_may_be_overwritten(maker):
    async with maker.opened() as o:
        data = bytearray(unit(1, 100))
        await o.sa.wr(memoryview(data))
        data[:] = bytes(100)
        await o.sa.wr(b"")
        await o.a.put(2)
        assert await o.b.get() == 1
        assert await o.b.get() == 2


# ---- blocks


async def blocks_keep_their_bounds(maker):
    blocks = [bytes((i,)) * i for i in range(1, 40)]
    blocks += [bytes(range(256))[i : i + 3] for i in range(0, 253, 25)]
    async with maker.opened() as o, rt.TaskGroup() as tg:
        tg.start_soon(_snd_all, o.sa, blocks)
        for block in blocks:
            assert bytes(await o.sb.rcv()) == block


async def _snd_all(s, blocks):
    for block in blocks:
        await s.snd(block)


async def a_block_may_be_overwritten(maker):
    async with maker.opened() as o:
        data = bytearray(unit(1, 100))
        await o.sa.snd(memoryview(data))
        data[:] = bytes(100)
        assert await o.b.get() == 1


# ---- messages

MESSAGES = (
    None, True, False, 0, -1, 127, 128, -33, 1 << 20, -(1 << 40), 1.5, "", "text", "grüße",
    b"", b"\xc1\x03\x00", [], [1, [2, ["x", b"y"]]], {}, {"a": 1, "b": {"c": [None]}}, {7: "x"},
)  # fmt: skip


async def messages_arrive_as_they_were(maker):
    async with maker.opened() as o, rt.TaskGroup() as tg:
        tg.start_soon(_send_all, o.sa, MESSAGES)
        for msg in MESSAGES:
            got = await o.sb.recv()
            assert got == msg
            assert type(got) is type(msg)


async def _send_all(s, msgs):
    for msg in msgs:
        await s.send(msg)


async def what_is_too_long_is_refused(maker):
    async with maker.opened() as o:
        await o.a.put(1)
        with raises(MessageTooLongError):
            await o.a.put(2, maker.too_long)
        assert await o.b.get() == 1
        await o.a.put(3)
        assert await o.b.get() == 3


def more_for(maker):
    """Return the checks of what this class has."""
    checks = {
        BUF: [
            rd_gives_what_is_there, rd_fills_no_more_than_the_buffer,
            what_was_written_may_be_overwritten,
        ],
        BLK: [blocks_keep_their_bounds, a_block_may_be_overwritten],
        MSG: [messages_arrive_as_they_were],
    }[maker.kind]  # fmt: skip
    return checks + [what_is_too_long_is_refused] * (maker.too_long is not None)
