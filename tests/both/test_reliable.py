"""ReliableMsg, both ends in one process."""

from _blocks import blk_pair
from _helpers import forever, raises, settle, until
from _lossy import ends, lossy_pair, receive
from msgpack import packb

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, LinkReset
from moat.micro.proto.msgpack import MsgpackMsgBlk
from moat.micro.proto.reliable import OVERHEAD, ReliableMsg


async def send_all(msg, values):
    for value in values:
        await msg.send(value)


async def test_messages_arrive_in_order():
    a, b = ends()
    async with a, b, rt.TaskGroup() as tasks:
        tasks.start_soon(send_all, a, range(50))
        tasks.start_soon(send_all, b, range(50, 100))
        assert await receive(b, 50) == list(range(50))
        assert await receive(a, 50) == list(range(50, 100))


async def check_lossy(plan):
    a, b = ends(plan)
    async with a, b, rt.TaskGroup() as tasks:
        tasks.start_soon(send_all, a, range(40))
        assert await receive(b, 40) == list(range(40))
        await a.flush()


async def test_nothing_is_lost():
    await check_lossy("..x...x")


async def test_nothing_comes_twice():
    await check_lossy("..2.2")


async def test_nothing_is_out_of_order():
    await check_lossy(".<..<")


async def test_the_peer_may_start_late():
    a, b = ends()
    async with a:
        await a.send("early")
        await rt.sleep_ms(250)
        async with b:
            assert await b.recv() == "early"


async def test_flush_waits_for_the_delivery():
    a, b = ends()
    async with a, b:
        await a.send(1)
        await a.flush()
        assert a._core.sender.first == 1
        assert await b.recv() == 1


async def test_a_slow_receiver_blocks_the_sender():
    a, b = ends(window=4)
    sent = []

    async def send():
        for value in range(30):
            await a.send(value)
            sent.append(value)

    async with a, b, rt.TaskGroup() as tasks:
        tasks.start_soon(send)
        await until(lambda: len(sent) == 12)  # 4 at the receiver, 8 in the queue
        await rt.sleep_ms(50)
        assert len(sent) == 12
        assert await receive(b, 30) == list(range(30))


async def test_closing_delivers_what_was_accepted():
    a, b = ends("..x")
    async with b:
        async with a:
            await send_all(a, range(8))
        assert await receive(b, 8) == list(range(8))
        with raises(EOFError):
            await b.recv()


async def test_a_persistent_end_waits_for_the_next_peer():
    a, b = ends(persistent=True)
    async with b:
        for n in range(3):
            async with a:
                await a.send(n)
            assert await b.recv() == n
            with raises(LinkReset):
                await b.recv()


async def test_the_peer_may_start_anew():
    a, b = ends()
    async with a:
        async with b:
            await a.send(1)
            assert await b.recv() == 1
            await b.send(2)
            assert await a.recv() == 2
            b._core.farewell()  # dies without a word
        async with b, rt.TaskGroup() as tasks:
            reader = tasks.start_soon(forever)
            with raises(LinkReset):
                await a.recv()
            await a.send(3)
            assert await b.recv() == 3
            reader.cancel()


async def test_a_send_that_waits_is_told_that_it_was_never_sent():
    a, _ = ends(window=1, queue=1)
    async with a:
        await a.send(1)
        with raises(LinkReset) as caught:
            async with rt.TaskGroup() as tasks:
                tasks.start_soon(a.send, 2)
                await settle()
                a._core._lose("for the test", a._now())
                a._tell()
        assert caught.exc.fate == "never sent"


async def test_a_value_of_a_channel_replaces_the_older_one():
    a, b = ends(window=1, queue=10)
    async with a:
        for value in range(10):
            await a.send(["now", value], channel="x")
            await a.send(["log", value])
            if value == 3:
                break
        async with b:
            assert await receive(b, 5) == [["now", 3]] + [["log", v] for v in range(4)]


async def test_a_second_reader_is_refused():
    a, b = ends()
    async with a, b, rt.TaskGroup() as tasks:
        tasks.start_soon(a.recv)
        await settle()
        with raises(InUseError):
            await a.recv()
        tasks.cancel()


async def test_a_cancelled_recv_loses_nothing():
    a, b = ends()
    async with a, b:
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(b.recv)
            await settle()
            tasks.cancel()
        await a.send(1)
        assert await b.recv() == 1


async def test_a_link_that_was_replaced_loses_nothing():
    a, b = lossy_pair()
    line = a.parent.parent
    other = b.parent.parent
    a, b = ReliableMsg(a), ReliableMsg(b)
    async with a, b, rt.TaskGroup() as tasks:
        await a.send("first")
        assert await b.recv() == "first"
        other.inp.held = True
        await send_all(a, range(5))
        await settle()
        line.reset()
        other.inp.held = False
        tasks.start_soon(send_all, b, range(5))
        assert await receive(b, 5) == list(range(5))
        assert await receive(a, 5) == list(range(5))


async def test_the_end_of_the_link_is_told():
    a, b = lossy_pair()
    line = a.parent.parent
    a, b = ReliableMsg(a), ReliableMsg(b)
    async with a, b:
        await a.send(1)
        assert await b.recv() == 1
        line.cut()
        with raises(LinkLost):
            await a.recv()
        with raises(LinkLost) as caught:
            await a.send(2)
        assert caught.exc.fate == "never sent"


async def test_a_message_that_cannot_be_sent_ends_the_session():
    a, b = ends()
    async with b, a:
        await a.send(object())
        with raises(LinkLost):
            await a.recv()
        with raises(LinkLost):
            await a.send(1)
        with raises(LinkLost):
            await b.recv()


async def test_a_persistent_end_gets_over_a_message_that_cannot_be_sent():
    a, b = ends(persistent=True)
    async with b, a:
        await a.send(object())
        with raises(LinkReset):
            await a.recv()
        with raises(LinkReset):
            await b.recv()
        await a.send(1)
        assert await b.recv() == 1


async def test_a_link_that_takes_no_hello_ends_it():
    a, _ = blk_pair()
    r = ReliableMsg(MsgpackMsgBlk(a, limit=5), persistent=True)
    async with r:
        with raises(LinkLost):
            await r.recv()


async def test_its_limit_leaves_room_for_what_it_adds():
    a, b = blk_pair()
    r, s = [ReliableMsg(MsgpackMsgBlk(end, limit=200)) for end in (a, b)]
    assert r.limit == r.send_limit == 200 - OVERHEAD
    async with r, s:
        data = bytes(r.limit - 2)
        assert len(packb(data)) == r.limit
        await r.send(data)
        assert await s.recv() == data


async def test_its_clock_goes_on_when_ticks_wrap():
    a, b = ends()
    async with b, a:
        before = a._now()
        a._ticks = rt.ticks_add(a._ticks, -(1 << 28))  # three days; on MicroPython ticks wrap
        passed = a._now() - before
        assert 1 << 28 <= passed < (1 << 28) + 60000
        await a.send(1)
        assert await b.recv() == 1


async def test_silence_ends_the_session():
    a, b = lossy_pair()
    a, b = ReliableMsg(a, keepalive_ms=20, silence_ms=60), ReliableMsg(b, linger_ms=10)
    async with b, a:
        await a.send(1)
        assert await b.recv() == 1
        await rt.sleep_ms(150)  # kept alive
        await b.send(2)
        assert await a.recv() == 2
        b.parent.plan = "x"
        with raises(LinkLost):
            await a.recv()
