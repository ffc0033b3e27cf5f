"""MsgpackMsgBlk: one message in each block."""

from _blocks import blk_pair
from _commands import recv_all, recv_some
from _helpers import raises, settle, until
from msgpack import packb

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, LinkReset, MessageTooLongError
from moat.micro.proto.msgpack import MsgpackMsgBlk


async def test_messages_arrive_each_in_a_block_of_its_own():
    msgs = [None, True, -5, 70000, "tést", b"\xc1\x03", [1, [2]], {"a": {"b": 1.5}}, {7: "x"}]
    a, b = blk_pair()
    async with MsgpackMsgBlk(a) as one, MsgpackMsgBlk(b) as two:
        for msg in msgs:
            await one.send(msg)
            await two.send([msg])
        assert b.arrived == [packb(msg) for msg in msgs]
        assert await recv_some(two, len(msgs)) == msgs
        assert await recv_some(one, len(msgs)) == [[msg] for msg in msgs]
        assert one.errors == two.errors == 0


async def test_blocks_that_do_not_decode_are_skipped_and_counted():
    a, b = blk_pair()
    bad = [b"", b"\xc1", b"\xa5abc", packb(1) + packb(2), b"\xa1\xff", b"\x81\x90\x01"]
    async with MsgpackMsgBlk(a) as m, b:
        for block in bad:
            a.inject(block)
        a.inject(packb("good"))
        assert await m.recv() == "good"
        assert m.errors == len(bad)


async def test_a_block_may_be_any_kind_of_bytes():
    a, b = blk_pair()
    async with MsgpackMsgBlk(a) as m, b:
        for kind in (bytes, bytearray, memoryview):
            a.inject(kind(packb([1, b"x"])))
            assert await m.recv() == [1, b"x"]


async def test_a_message_beyond_the_limit_is_not_sent():
    a, b = blk_pair()
    async with MsgpackMsgBlk(a, limit=10) as m, b:
        await m.send(b"x" * 8)  # two bytes of header
        with raises(MessageTooLongError) as info:
            await m.send(b"x" * 9)
        assert "11 bytes" in str(info.exc)
        assert len(b.arrived) == 1


async def test_a_block_beyond_the_limit_is_skipped():
    a, b = blk_pair()
    async with MsgpackMsgBlk(a, limit=10) as m, b:
        a.inject(packb(b"x" * 9))
        a.inject(packb(b"y" * 8))
        assert await m.recv() == b"y" * 8
        assert m.errors == 1


async def test_what_messagepack_cannot_express_is_an_error_and_not_sent():
    a, b = blk_pair()
    async with MsgpackMsgBlk(a) as m, b:
        with raises(TypeError):
            await m.send(object())
        assert b.arrived == []


async def test_the_console_is_the_parents():
    a, b = blk_pair()
    async with MsgpackMsgBlk(a) as m, b:
        await m.cwr(b"abc")
        assert b.text == b"abc"
        a.text.extend("wörld".encode())
        buf = bytearray(10)
        assert buf[: await m.crd(buf)] == "wörld".encode()


async def test_errors_of_the_blocks_pass_through_and_it_goes_on():
    a, b = blk_pair()
    async with MsgpackMsgBlk(a) as m, b:
        for exc in (LinkReset("reset"), LinkLost("lost"), EOFError()):
            a.inject(exc)
            with raises(type(exc)):
                await m.recv()
        a.inject(packb(5))
        assert await m.recv() == 5


async def test_a_cancelled_recv_loses_nothing_and_a_second_one_is_refused():
    a, b = blk_pair()
    found = []
    async with rt.TaskGroup() as tg, MsgpackMsgBlk(a) as m, b:
        task = tg.start_soon(recv_all, m, found)
        await settle()
        with raises(InUseError):
            await m.recv()
        a.inject(b"\xc1")
        await until(lambda: m.errors)
        task.cancel()
        await settle()
        a.inject(packb(5))
        a.inject(EOFError())
        await recv_all(m, found)
    assert found == [5, "end"]
