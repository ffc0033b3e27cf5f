"""CmdMsg: calls that are cancelled."""

from _commands import App, end, idle, linked, outcome, tree
from _helpers import forever, raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd, Dispatch

ADD = ["app", "add"]
WAIT = ["app", "wait"]


async def test_cancelling_a_call_reaches_the_command_and_its_finally():
    served = []
    async with linked(tree(App(served))) as (near, far):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(near.call, WAIT, "cleaned up")
            await until(lambda: "started" in served)
            task.cancel()
        await until(lambda: "cleaned up" in served)
        with raises(rt.TimeoutError):
            async with rt.timeout_ms(20):
                await near.call(WAIT, "timed out")
        await until(lambda: "timed out" in served)
        await idle(near, far)


async def test_a_command_may_do_what_it_likes_about_its_cancellation():
    class Stubborn(BaseCmd):
        async def cmd_error(self):
            try:
                await forever(log, "error")
            finally:
                raise ValueError

        async def cmd_result(self):
            try:
                await forever(log, "result")
            finally:
                return 5  # noqa: B012

    log = []
    async with linked(Dispatch({"app": Stubborn()})) as (near, far):
        for name in ("error", "result"):
            async with rt.TaskGroup() as tg:
                task = tg.start_soon(near.call, ["app", name])
                await until(lambda: far.core.served)
                await settle()
                task.cancel()
            await until(lambda n=name: n in log)
            await idle(near, far)
    assert near.core.skipped == far.core.skipped == 0


async def test_a_thousand_cancelled_calls_leave_nothing_behind():
    served = []
    async with linked(tree(App(served)), size=30, chunk=20) as (near, far):
        for i in range(40):
            async with rt.TaskGroup() as tg:
                tasks = []
                for k in range(25):
                    path = (WAIT, ["app", "yield"], ["nix"])[(i + k) % 3]
                    tasks.append(tg.start_soon(outcome, [], near, path, 1, 2))
                for _ in range(i % 10):
                    await rt.sleep_ms(0)
                for task in tasks:
                    task.cancel()
        await idle(near, far)
        assert await near.call(ADD, 1) == 3
        assert near.core.skipped < 1000
        assert far.s.errors == near.s.errors == 0


async def test_calls_that_are_cancelled_before_they_are_sent_leave_nothing_behind():
    a, b = pair(hangs_up=False)
    near, far = end(a), end(b, tree())
    async with near, far:
        await near.ready()
        await far.ready()
        a.out.size = 0  # the line takes nothing
        for _ in range(300):
            async with rt.TaskGroup() as tg:
                task = tg.start_soon(outcome, [], near, ADD, 1)
                await rt.sleep_ms(0)
                task.cancel()
            if len(near.core.calls) == 255:
                a.out.size = 1 << 16
                a.out.notify()
                await idle(near, far)
        a.out.size = 1 << 16
        a.out.notify()
        await idle(near, far)
        assert await near.call(ADD, 1) == 3


async def test_a_console_writer_does_not_make_calls_get_lost():
    a, b = pair(size=7, chunk=5)
    near, far = end(a), end(b, tree())
    async with near, far, rt.TaskGroup() as tg:
        await near.ready()
        await far.ready()

        async def chat():
            while True:
                await near.s.cwr(b"some text\n")
                await far.s.cwr(b"other text\n")

        tg.start_soon(chat)
        for i in range(30):
            async with rt.TaskGroup() as calls:
                task = calls.start_soon(outcome, [], near, WAIT)
                for _ in range(i):
                    await rt.sleep_ms(0)
                task.cancel()
            assert await near.call(ADD, i) == i + 2
        await idle(near, far)
        tg.cancel()
