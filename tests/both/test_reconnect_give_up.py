"""ReconnectBuf: when it tries again, and when it gives up."""

from _clock import Clock
from _flaky import Flaky
from _helpers import raises, settle, until
from test_reconnect import names, noted, rd, watched

from moat.micro import rt
from moat.micro.errors import LinkLost, LinkReset
from moat.micro.proto.reconnect import ReconnectBuf


async def test_delays_grow_to_their_maximum_and_start_anew_after_a_good_time():
    link = Flaky(None, *[OSError(5) for _ in range(5)])
    s = ReconnectBuf(link, base_ms=100, factor=3, max_ms=1000, jitter=0)
    with Clock() as clock:
        async with rt.TaskGroup() as tg, s:
            link.cut()
            tg.start_soon(noted, [], rd, s)
            await until(lambda: clock.sleeping)
            while not s.connected:
                await clock.next()
            assert clock.sleeps == [100, 300, 900, 1000, 1000, 1000]
            await clock.advance(999)
            link.cut()
            tg.start_soon(noted, [], rd, s)
            await until(lambda: clock.sleeping)
            await clock.next()
            await clock.advance(1000)
            link.cut()
            tg.start_soon(noted, [], rd, s)
            await until(lambda: clock.sleeping)
            assert clock.sleeps[6:] == [1000, 100]
            tg.cancel()


async def test_it_gives_up_after_so_many_attempts():
    link = Flaky(None, OSError(1), OSError(2), LinkLost("the last"))
    s, states = watched(link, retries=3)
    with Clock() as clock:
        async with rt.TaskGroup() as tg, s:
            link.cut()
            log = []
            tg.start_soon(noted, log, rd, s)
            tg.start_soon(noted, log, s.wr, b"waits, or is cut")
            await until(lambda: clock.sleeping)
            while s.state != "lost":
                await clock.next()
            await settle()
            assert len(log) == 2
            assert LinkLost in log
            for fn in (s.rd, s.wr, s.crd, s.cwr):
                with raises(LinkLost) as info:
                    await fn(bytearray(1))
                assert "the last" in str(info.exc)
            assert len(clock.sleeps) == 3
    assert names(states) == ("opening up down opening down opening down opening down lost closed")
    async with s:  # it can be used again
        link.give(b"data")
        assert await rd(s) == b"data"


async def test_it_gives_up_after_so_long_a_time():
    link = Flaky(None, *[OSError(5) for _ in range(9)])
    s = ReconnectBuf(link, base_ms=100, jitter=0, give_up_ms=1000)
    with Clock() as clock:
        async with s:
            await clock.advance(100000)  # being up does not count
            link.cut()
            with raises(LinkReset):
                await s.wr(b"x")
            await until(lambda: clock.sleeping)
            while s.state != "lost":
                await clock.next()
            assert clock.sleeps == [100, 200, 400, 300]
            with raises(LinkLost):
                await rd(s)


async def test_entered_again_it_has_all_its_attempts_again():
    link = Flaky()
    s = ReconnectBuf(link, retries=1)
    for _ in range(3):
        with Clock() as clock:
            async with s:
                link.cut()
                with raises(LinkReset):
                    await s.wr(b"x")
                await until(lambda: clock.sleeping)
                await clock.next()
                assert s.connected


async def test_the_first_error_is_the_cause_not_what_follows_from_it():
    link = Flaky()
    async with ReconnectBuf(link, retries=0) as s:
        link.fault = LinkLost("the cause")
        link.leaving = LinkLost("a consequence")
        with raises(LinkReset):
            await s.wr(b"x")
        await until(lambda: s.state == "lost")
        with raises(LinkLost) as info:
            await rd(s)
        assert "the cause" in str(info.exc)


async def test_entering_gives_up_too():
    link = Flaky(OSError(1), OSError(2), OSError(3))
    with Clock() as clock:
        async with rt.TaskGroup() as tg:
            log = []
            tg.start_soon(noted, log, _enter, ReconnectBuf(link, keep_trying=True, retries=2))
            await until(lambda: clock.sleeping)
            await clock.next()
            await clock.next()
            assert log == [LinkLost]


async def _enter(s):
    async with s:
        await rt.Event().wait()
