"""ReconnectBuf: what readers and writers see when the link below breaks."""

from _clock import Clock
from _flaky import Flaky
from _helpers import raises, settle, until

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, LinkReset, NoConsoleError, ProtocolError
from moat.micro.proto.reconnect import ReconnectBuf


async def rd(buf, n=100):
    """Read once; returns the bytes."""
    data = bytearray(n)
    return bytes(data[: await buf.rd(data)])


async def noted(log, fn, *args):
    """Await ``fn(*args)``; append what it returns or raises."""
    try:
        log.append(await fn(*args))
    except Exception as exc:
        log.append(type(exc))


def watched(link, **kw):
    """Return a ReconnectBuf, and the list of its states to come."""
    states = []
    return ReconnectBuf(
        link, on_state=lambda state, exc: states.append((state, exc)), **kw
    ), states


def names(states):
    """Return the names of the states in one string."""
    return " ".join([state for state, _ in states])


async def test_data_pass_in_both_directions():
    link = Flaky()
    async with ReconnectBuf(link) as s:
        assert s.connected
        await s.wr(b"out")
        assert link.sent == b"out"
        link.give(b"input")
        assert await rd(s, 3) == b"inp"
        assert await rd(s) == b"ut"
    assert not s.connected
    assert link.log == ["enter", "leave"]


async def test_after_a_break_a_read_raises_link_reset_once():
    for exc in (LinkLost("lost"), OSError(5), EOFError(), rt.TimeoutError("late")):
        link = Flaky()
        s, states = watched(link)
        with Clock() as clock:
            async with rt.TaskGroup() as tg, s:
                log = []
                link.fault = exc
                tg.start_soon(noted, log, rd, s)
                await until(lambda: clock.sleeping)
                assert not s.connected
                assert log == []
                await clock.next()
                assert s.connected
                assert log == [LinkReset]
                link.give(b"new")
                assert await rd(s) == b"new"
        assert link.log == ["enter", "leave"] * 2
        assert names(states) == "opening up down opening up closed"
        assert states[2][1] is exc


async def test_data_of_the_old_link_never_follow_those_of_the_new_one():
    link = Flaky()
    with Clock() as clock:
        async with ReconnectBuf(link) as s:
            link.give(b"old")
            link.fault = OSError(5)
            with raises(LinkReset):
                await s.wr(b"x")
            await until(lambda: clock.sleeping)
            await clock.next()
            link.give(b"new")
            with raises(LinkReset):
                await rd(s)
            assert await rd(s) == b"new"
            assert link.sent == b""


async def test_several_breaks_before_a_read_are_one_reset():
    link = Flaky()
    with Clock() as clock:
        async with ReconnectBuf(link) as s:
            for _ in range(3):
                link.fault = LinkLost("lost")
                with raises(LinkReset):
                    await s.wr(b"x")
                await until(lambda: clock.sleeping)
                await clock.next()
            link.give(b"new")
            with raises(LinkReset):
                await rd(s)
            assert await rd(s) == b"new"
    assert link.log == ["enter", "leave"] * 4


async def test_a_write_that_begins_without_a_link_waits_for_it():
    link = Flaky()
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            link.cut()
            log = []
            tg.start_soon(noted, log, rd, s)
            await until(lambda: clock.sleeping)
            tg.start_soon(noted, log, s.wr, b"abc")
            await settle()
            assert log == []
            await clock.next()
            assert len(log) == 2
            assert None in log
            assert LinkReset in log
            assert link.sent == b"abc"


async def test_a_write_that_is_cut_raises_at_once_and_is_not_repeated():
    link = Flaky(size=4)
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            log = []
            tg.start_soon(noted, log, s.wr, b"abcdefgh")
            await settle()
            assert link.sent == b"abcd"
            link.cut()
            await until(lambda: clock.sleeping)
            assert log == [LinkReset]
            await clock.next()
            await s.wr(b"new")
            assert link.sent == b"new"


async def test_a_reader_is_released_when_the_writer_finds_the_break():
    link = Flaky()
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            log = []
            tg.start_soon(noted, log, rd, s)
            await until(lambda: link.inside)
            link.fault = OSError(5)
            tg.start_soon(noted, log, s.wr, b"x")
            await until(lambda: clock.sleeping)
            assert log == [LinkReset]  # the writer's
            await clock.next()
            assert log == [LinkReset, LinkReset]
            assert link.log == ["enter", "leave", "enter"]


async def test_a_writer_is_released_when_the_reader_finds_the_break():
    link = Flaky(size=4)
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            log = []
            tg.start_soon(noted, log, s.wr, b"abcdefgh")
            await until(lambda: link.inside)
            link.end()
            tg.start_soon(noted, log, rd, s)
            await until(lambda: clock.sleeping)
            assert log == [LinkReset]  # the writer's
            await clock.next()
            assert log == [LinkReset, LinkReset]


async def test_the_end_is_an_end_when_asked_for():
    link = Flaky()
    async with ReconnectBuf(link, eof=False) as s:
        link.give(b"last")
        link.end()
        assert await rd(s) == b"last"
        for _ in range(2):
            with raises(EOFError):
                await rd(s)
    assert link.log == ["enter", "leave"]


async def test_other_errors_pass_through():
    link = Flaky()
    async with ReconnectBuf(link) as s:
        for exc in (ProtocolError("version"), LinkReset("below"), ValueError(1)):
            link.fault = exc
            with raises(type(exc)) as info:
                await rd(s)
            assert info.exc is exc
        link.give(b"more")
        assert await rd(s) == b"more"


async def test_a_second_reader_is_refused_with_and_without_a_link():
    link = Flaky()
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            log = []
            tg.start_soon(noted, log, rd, s)
            await settle()
            with raises(InUseError):
                await rd(s)
            link.cut()
            await until(lambda: clock.sleeping)
            with raises(InUseError):
                await rd(s)
            await clock.next()
            assert log == [LinkReset]


async def test_a_read_cancelled_without_a_link_loses_no_reset():
    link = Flaky()
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            link.cut()
            task = tg.start_soon(rd, s)
            await until(lambda: clock.sleeping)
            task.cancel()
            await settle()
            await clock.next()
            assert s.connected
            link.give(b"new")
            with raises(LinkReset):
                await rd(s)
            assert await rd(s) == b"new"


async def test_a_read_cancelled_with_a_link_loses_no_data():
    link = Flaky()
    async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
        task = tg.start_soon(rd, s)
        await until(lambda: link.inside)
        task.cancel()
        await settle()
        link.give(b"data")
        assert await rd(s) == b"data"


async def test_a_write_cancelled_without_a_link_sends_nothing():
    link = Flaky()
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            link.cut()
            tg.start_soon(noted, [], rd, s)
            await until(lambda: clock.sleeping)
            task = tg.start_soon(s.wr, b"abc")
            await settle()
            task.cancel()
            await settle()
            await clock.next()
            await s.wr(b"new")
            assert link.sent == b"new"


async def test_flush_does_not_wait_for_a_link():
    link = Flaky()
    async with ReconnectBuf(link) as s:
        await s.flush()
        link.fault = LinkLost("lost")
        with raises(LinkReset):
            await s.wr(b"x")
        assert not s.connected
        await s.flush()


async def test_the_console_of_the_link_goes_on():
    link = Flaky()
    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            with raises(NoConsoleError):
                await s.crd(bytearray(5))
            link.text = bytearray()
            log = []
            buf = bytearray(5)
            tg.start_soon(noted, log, s.crd, buf)
            await settle()
            link.cut()
            tg.start_soon(noted, log, rd, s)
            await until(lambda: clock.sleeping)
            tg.start_soon(noted, log, s.cwr, b"abc")
            await settle()
            assert log == []
            await clock.next()
            await until(lambda: len(log) == 3)
            for what in (LinkReset, None, 3):
                assert what in log
            assert buf[:3] == b"abc"
