"""ReconnectBuf: opening, closing, cancelling."""

from _clock import Clock
from _commands import App, tree
from _flaky import Flaky
from _helpers import raises, settle, until
from test_reconnect import names, noted, rd, watched

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.errors import CallUnknownError, InUseError, LinkLost, LinkReset
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.reconnect import ReconnectBuf
from moat.micro.proto.stack import StackedBuf


async def test_the_first_error_is_raised():
    for exc in (LinkLost("no"), OSError(2), EOFError(), rt.TimeoutError("late")):
        link = Flaky(exc)
        s, states = watched(link)
        with raises(type(exc)) as info:
            async with s:
                raise AssertionError
        assert info.exc is exc
        assert states == [
            ("opening", None),
            ("down", exc),
            ("lost", exc),
            ("closed", None),
        ]
        async with s:  # and it can be tried again
            await s.wr(b"x")
        assert link.log == ["enter", "leave"] * 2


async def test_entering_waits_for_the_link_when_asked_to():
    link = Flaky(OSError(2), LinkLost("no"))
    with Clock() as clock:
        async with rt.TaskGroup() as tg:
            log = []

            async def use():
                async with ReconnectBuf(link, keep_trying=True) as s:
                    link.give(b"data")
                    log.append(await rd(s))  # no reset: there was no link before

            tg.start_soon(use)
            await until(lambda: clock.sleeping)
            await clock.next()
            assert log == []
            await clock.next()
            assert log == [b"data"]
    assert link.log == ["enter", "leave"] * 3


async def test_a_task_of_the_layer_below_that_fails_is_a_break():
    class Watched(StackedBuf):
        """Breaks when it is told to, though nobody reads or writes."""

        @rt.asynccontextmanager
        async def _ctx(self):
            async with self.parent as self.s, rt.TaskGroup() as tg:
                tg.start_soon(self._watch)
                yield self
                tg.cancel()

        async def _watch(self):
            await broken.wait()
            broken.clear()
            raise LinkLost("unplugged")

    broken = rt.Event()
    link = Flaky()
    s, states = watched(Watched(link))
    with Clock() as clock:
        async with rt.TaskGroup() as tg, s:
            log = []
            tg.start_soon(noted, log, rd, s)
            await until(lambda: link.inside)
            broken.set()
            await until(lambda: clock.sleeping)
            assert not s.connected
            assert str(states[-1][1]) == "unplugged"
            await clock.next()
            assert log == [LinkReset]
    assert names(states) == "opening up down opening up closed"


async def test_leaving_while_it_waits_to_try_again_ends_at_once():
    link = Flaky(None, OSError(5))
    with Clock() as clock:
        async with ReconnectBuf(link) as s:
            link.cut()
            with raises(LinkReset):
                await s.wr(b"x")
            await until(lambda: clock.sleeping)
        assert not clock.sleeping
    assert link.log == ["enter", "leave"]


async def test_leaving_while_it_opens_ends_at_once():
    link = Flaky(None, rt.Event())
    with Clock() as clock:
        async with ReconnectBuf(link) as s:
            link.cut()
            with raises(LinkReset):
                await s.wr(b"x")
            await until(lambda: clock.sleeping)
            await clock.next()
            assert s.state == "opening"
    assert link.log == ["enter", "leave"] * 2
    assert s.state == "closed"


async def test_leaving_lets_the_layer_below_take_its_time():
    link = Flaky()
    slow = link.leaving = rt.Event()
    log = []

    async def use():
        async with ReconnectBuf(link):
            pass
        log.append("left")

    async with rt.TaskGroup() as tg:
        tg.start_soon(use)
        await settle()
        await settle()
        assert log == []
        slow.set()
    assert log == ["left"]


async def test_an_error_of_the_body_passes_and_the_layer_below_is_left():
    link = Flaky()
    with raises(KeyError):
        async with ReconnectBuf(link):
            raise KeyError
    assert link.log == ["enter", "leave"]


async def test_an_error_while_leaving_is_a_break_or_raised_at_the_end():
    link = Flaky()
    with Clock() as clock, raises(LinkLost):
        async with ReconnectBuf(link) as s:
            link.leaving = OSError(7)
            link.cut()
            with raises(LinkReset):
                await s.wr(b"x")
            await until(lambda: clock.sleeping)
            await clock.next()
            assert s.connected
            link.leaving = LinkLost("while leaving")


async def test_an_unexpected_error_below_ends_the_body():
    link = Flaky(None, ValueError("a bug"))
    with Clock() as clock, raises(ValueError):
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            link.cut()
            tg.start_soon(noted, [], rd, s)
            await until(lambda: clock.sleeping)
            tg.start_soon(clock.next)
            await rt.Event().wait()
    assert link.log == ["enter", "leave"] * 2


async def test_entering_twice_is_an_error_and_harmless():
    link = Flaky()
    async with ReconnectBuf(link) as s:
        with raises(InUseError):
            async with s:
                raise AssertionError
        with raises(InUseError):
            async with ReconnectBuf(link):
                raise AssertionError
        link.give(b"x")
        assert await rd(s) == b"x"


async def test_waiters_for_a_change_are_woken():
    link = Flaky()
    seen = []

    async def watch(s):
        while True:
            await s.changed.wait()
            seen.append((s.state, s.connected))

    with Clock() as clock:
        async with rt.TaskGroup() as tg, ReconnectBuf(link) as s:
            tg.start_soon(watch, s)
            await settle()
            link.cut()
            with raises(LinkReset):
                await s.wr(b"x")
            await until(lambda: clock.sleeping)
            await settle()
            assert ("down", False) in seen
            await clock.next()
            assert seen[-1] == ("up", True)
            tg.cancel()


async def test_cancelled_anywhere_it_leaves_nothing_behind():
    for steps in range(60):
        link = Flaky(OSError(1), None, OSError(2), size=4)
        s = ReconnectBuf(link, keep_trying=True)
        with Clock() as clock:
            async with rt.TaskGroup() as tg:
                task = tg.start_soon(_session, link, s)
                for _ in range(steps):
                    await rt.sleep_ms(0)
                    if clock.sleeping:
                        await clock.next()
                task.cancel()
            assert not clock.sleeping
        assert link.inside == 0
        assert link.log.count("enter") == link.log.count("leave")
        assert s.state == "closed"
        async with s:
            link.give(b"x")
            assert await rd(s) == b"x"


async def _session(link, s):
    async with s, rt.TaskGroup() as tg:
        tg.start_soon(noted, [], rd, s)
        await s.wr(b"1234")
        link.cut()
        try:
            await s.wr(b"abcd")
        except LinkReset:
            pass
        await s.wr(b"12345678")  # more than fits


async def test_calls_are_ended_by_a_break_and_work_after_it():
    near = Flaky()
    with Clock() as clock:
        async with rt.TaskGroup() as tg:
            far_up = rt.Event()
            tg.start_soon(_serve, near, far_up)
            async with CmdMsg(MsgpackMsgBuf(ReconnectBuf(near))) as cmd:
                far_up.set()
                await cmd.ready()
                assert await cmd.call(["app", "add"], 1) == 3
                log = []
                tg.start_soon(noted, log, cmd.call, ["app", "wait"])
                await settle()
                near.end()
                await until(lambda: clock.sleeping == 2)  # the command that waits sleeps, too
                assert log == []
                await clock.next()
                far_up.set()
                await until(lambda: log)  # the peer tells what it knows of the call
                assert log == [CallUnknownError]
                await cmd.ready()
                assert await cmd.call(["app", "add"], 2) == 4
            tg.cancel()


async def _serve(link, up):
    while True:
        await up.wait()
        up.clear()
        async with CmdMsg(MsgpackMsgBuf(link.peer), tree(App())) as cmd:
            await cmd.closed()


async def test_who_is_cancelled_has_the_link_while_he_takes_his_leave():
    link = Flaky()

    async def use():
        async with ReconnectBuf(link) as s:
            try:
                await rt.Event().wait()
            finally:
                async with rt.grace_ms(1000):
                    await settle()
                    await s.wr(b"bye")
                    link.log.append(link.sent)

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(use)
        await until(lambda: link.peer)
        await settle()
        task.cancel()
    assert link.log == ["enter", b"bye", "leave"]
