"""Streams into a command, both ways, and such that leave values out."""

from _commands import App, Raw, end, idle, linked, tree
from _helpers import raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd._wire import CALL, CREDIT, ITEM, ROOM
from moat.micro.cmd.call import options
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import LinkLost

SUM = ["app", "sum"]


async def test_values_go_both_ways():
    async with linked() as (near, far):
        async with near.stream(SUM) as st:
            for n in range(100):
                await st.send(n)
                assert await st.recv() == n * (n + 1) // 2
            await st.finish()
            with raises(EOFError):
                await st.recv()
            assert st.result == 4950
        await idle(near, far)


async def test_a_command_that_does_not_read_holds_the_caller_back():
    async with linked() as (near, far), rt.TaskGroup() as tg:
        sent = []

        async def feed(st):
            for n in range(1000):
                await st.send(bytes(20))
                sent.append(n)

        async with near.stream(["app", "deaf"]) as st:
            tg.start_soon(feed, st)
            await until(lambda: far.core.served)
            await settle()
            assert not sent  # it has not even asked
            tg.cancel()
        await idle(near, far)


async def test_the_window_bounds_what_waits_for_the_command():
    got = []

    class Slow(BaseCmd):
        async def stream_eat(self, st):
            got.append(await st.recv())
            await go.wait()
            while True:
                got.append(await st.recv())

    go = rt.Event()
    a, b = pair()
    near, far = end(a), end(b, Dispatch({"app": Slow()}), window=100)
    async with near, far, rt.TaskGroup() as tg:
        await near.ready()
        await far.ready()
        sent = []

        async def feed(st):
            for n in range(50):
                await st.send(bytes(20))
                sent.append(n)
            await st.finish()

        async with near.stream(["app", "eat"]) as st:
            tg.start_soon(feed, st)
            await until(lambda: got)
            await settle()
            assert 4 <= len(sent) <= 7
            go.set()
            with raises(EOFError):
                await st.recv()
            assert got == [bytes(20)] * 50
        await idle(near, far)


async def test_a_command_may_end_before_its_input():
    async with linked() as (near, far):
        async with near.stream(SUM, 2) as st:
            await st.send(1)
            await st.send(2)
            assert await st.recv() == 1
            assert await st.recv() == 3
            with raises(EOFError):
                await st.recv()
            with raises(LinkLost):
                await st.send(3)
            await st.finish()
        await idle(near, far)


async def keeping(keep, n):
    """Have `n` values sent to a reader that lets two pass; return what it gets and loses."""

    class Fast(BaseCmd):
        async def stream_run(self, st):
            for i in range(n):
                await st.send(i)
            ran.append(1)

    ran, found = [], []
    a, b = pair()
    far = end(b, Dispatch({"app": Fast()}))
    async with far, Raw(a) as raw:
        await raw.open()
        await far.ready()
        await raw.send(CALL, 1, ["app", "run"], b"", 4, options(keep=keep))
        await until(lambda: ran)
        await settle()
        await raw.send(CREDIT, 1, 1000)
        dropped = 0
        while True:
            msg = await raw.recv()
            if msg[0] != ITEM:
                return found, dropped
            found.append(msg[2][0])
            dropped += msg[3] if len(msg) > 3 else 0


async def test_the_latest_value_only():
    assert await keeping(1, 100) == ([0, 1, 99], 97)


async def test_the_oldest_are_dropped_and_counted():
    assert await keeping(5, 100) == ([0, 1, 95, 96, 97, 98, 99], 93)
    assert await keeping(200, 100) == (list(range(100)), 0)


async def test_the_reader_sees_how_many_were_dropped():
    a, b = pair()
    async with end(a) as cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        async with cmd.stream_with(options(keep=1), ["x"], (), {}) as st:
            call = await raw.expect(CALL)
            ident = call[1]
            assert call[4] == 1  # no value waits at the reader while newer ones are dropped
            await raw.send(ITEM, ident, b"\x01")
            assert await st.recv() == 1
            assert await raw.expect(CREDIT) == [CREDIT, ident, 2]
            await raw.send(ITEM, ident, b"\x05", 3)
            assert await st.recv() == 5
            assert st.dropped == 3
            await raw.expect(CREDIT)
            await raw.send(ITEM, ident, b"\x09", 3)
            assert await st.recv() == 9
            assert st.dropped == 6


async def test_room_that_was_not_asked_for_does_no_harm():
    a, b = pair()
    async with end(a, tree(App())) as cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        async with cmd.stream(["x"]) as st:
            ident = (await raw.expect(CALL))[1]
            for n in (-1, None, "x", 5):
                await raw.send(ROOM, ident, n)
            await st.send(1)
            await until(lambda: not cmd.core.out)
            assert cmd.core.skipped == 3


async def test_ticks_keep_their_rate():
    class Clock(BaseCmd):
        async def stream_tick(self, st, ms):
            async for i in st.every(ms):
                await st.send(i)
                if i == 1:
                    await rt.sleep_ms(5 * ms)

    async with linked(Dispatch({"app": Clock()})) as (near, _):
        begin = rt.ticks_ms()
        found = []
        async with near.stream(["app", "tick"], 10) as st:
            while len(found) < 6:
                found.append(await st.recv())
        assert rt.ticks_diff(rt.ticks_ms(), begin) >= 10 * found[-1] - 1
        assert found[:2] == [0, 1]
        assert found[2] >= 6  # what was missed is left out
        assert found == sorted(set(found))
