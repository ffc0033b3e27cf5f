"""MsgpackMsgBuf: the console text beside the messages, and Ctrl-C in it."""

from _commands import crd_all, frame, recv_all
from _helpers import raises, until
from _memory import pair
from msgpack import packb

from moat.micro import rt
from moat.micro.errors import NoConsoleError
from moat.micro.proto.msgpack import MsgpackMsgBuf


async def test_console_text_passes_in_both_directions_beside_messages():
    a, b = pair(chunk=3)
    found, text = [[], []], [bytearray(), bytearray()]
    one, two = MsgpackMsgBuf(a), MsgpackMsgBuf(b)
    async with rt.TaskGroup() as tg, one, two:
        for i, m in enumerate((one, two)):
            tg.start_soon(recv_all, m, found[i])
            tg.start_soon(crd_all, m, text[i])
        for i in range(5):
            await one.cwr(b"hello %d\n" % i)
            await one.send(i)
            await two.send(-i)
            await two.cwr("wörld\n".encode())
        await until(lambda: len(found[0]) == 5 and len(found[1]) == 5)
        await until(lambda: len(text[0]) == 5 * 7 and len(text[1]) == 5 * 8)
        tg.cancel()
    assert found == [[0, -1, -2, -3, -4], [0, 1, 2, 3, 4]]
    assert text[0] == "wörld\n".encode() * 5
    assert text[1] == b"".join(b"hello %d\n" % i for i in range(5))


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


async def test_ctrl_c_counts_outside_of_messages_only():
    a, b = pair()
    calls = []
    async with MsgpackMsgBuf(a, ctrl_c=lambda: calls.append(1)) as m, b:
        a.inject(frame([3, b"\x03"]))
        await m.recv()
        assert not calls
        a.inject(b"x\x03" + frame(1))
        await m.recv()
        a.inject(frame(2))
        await m.recv()
        assert calls == [1]


async def test_ctrl_c_may_raise_and_nothing_is_lost():
    def interrupt():
        raise OverflowError

    a, b = pair()
    async with MsgpackMsgBuf(a, ctrl_c=interrupt) as m, b:
        a.inject(frame(1) + b"\x03" + frame(2) + b"more")
        assert await m.recv() == 1
        assert await m.recv() == 2
        with raises(OverflowError):
            await m.recv()
        a.inject(frame(3))
        assert await m.recv() == 3
        buf = bytearray(10)
        assert buf[: await m.crd(buf)] == b"\x03more"


async def test_text_that_nobody_reads_is_bounded():
    a, b = pair(chunk=16)
    async with MsgpackMsgBuf(a, console=20) as m, b:
        a.inject(b"0123456789" * 50 + frame(1))
        assert await m.recv() == 1
        buf = bytearray(100)
        assert buf[: await m.crd(buf)] == b"0123456789" * 2
