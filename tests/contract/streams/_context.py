"""What the contexts of all streams have to keep, the passing of resets, and the console."""

from _helpers import raises
from _pair import ENDS, call, cancel_after

from moat.micro import rt
from moat.micro.errors import InUseError, LinkReset, NoConsoleError


async def entering_twice_is_an_error_and_harmless(maker):
    async with maker.opened() as o:
        for _ in range(2):
            with raises(InUseError):
                await o.pair.a.__aenter__()
        await o.a.put(1)
        assert await o.b.get() == 1


async def it_can_be_entered_again(maker):
    async with maker.pair() as p:
        for turn in range(3):
            async with p.a as sa, p.b as sb:
                a, b = ENDS[maker.kind](sa), ENDS[maker.kind](sb)
                await a.put(turn)
                await b.put(turn)
                assert await b.get() == turn
                assert await a.get() == turn
                if maker.ends:  # a line without an end may keep what was on its way
                    await b.put(99)
                    await a.put(99)


async def what_came_before_it_was_entered_is_read(maker):
    async with maker.pair() as p, p.b as sb:
        b = ENDS[maker.kind](sb)
        await b.put(0)
        async with p.a as sa:
            a = ENDS[maker.kind](sa)
            await b.put(1)
            assert await a.get() == 0
            assert await a.get() == 1


async def an_error_in_the_body_passes(maker):
    async with maker.pair() as p:
        with raises(KeyError):
            async with p.a, p.b:
                raise KeyError(1)


async def cancelled_while_it_opens_it_can_be_tried_again(maker):
    entered = []

    async def enter(s):
        async with s:
            entered.append(s)

    async with maker.pair() as p:
        for steps in range(maker.steps):
            async with rt.TaskGroup() as tg:
                await cancel_after(tg, steps, enter, p.a)
            if entered:
                break
        async with p.a as sa, p.b as sb:
            await ENDS[maker.kind](sb).put(7)
            assert await ENDS[maker.kind](sa).get() == 7


# ---- resets and the console


async def a_reset_is_raised_once(maker):
    async with maker.opened() as o:
        await o.b.put(1)
        await call(o.pair.reset)
        with raises(LinkReset):
            await o.a.get()
        await o.b.put(2)
        await o.a.put(3)
        assert await o.a.get() == 2
        assert await o.b.get() == 3


async def console_bytes_pass(maker):
    async with maker.opened() as o:
        for x, y, sx, sy in ((o.a, o.b, o.sa, o.sb), (o.b, o.a, o.sb, o.sa)):
            async with rt.TaskGroup() as tg:
                tg.start_soon(y.get)
                await sx.cwr(b"some text")
                text = b""
                buf = bytearray(4)
                while len(text) < 9:
                    n = await sy.crd(buf)
                    assert 1 <= n <= 4
                    text += buf[:n]
                assert text == b"some text"
                await x.put(1)


async def without_a_console_it_says_so(maker):
    async with maker.opened() as o:
        with raises(NoConsoleError):
            await o.sa.crd(bytearray(4))
        with raises(NoConsoleError):
            await o.sa.cwr(b"x")
