"""Calls with deadlines, with tracebacks, without a reply; errors of an app's own types."""

from _commands import App, OddError, Raw, chained, end, idle, linked, outcome, tree
from _helpers import raises, until
from _memory import pair

from moat.micro import errors, rt
from moat.micro.cmd._wire import CALL, CANCEL, DEADLINE, REPLY
from moat.micro.cmd.call import Call, options
from moat.micro.errors import RemoteError

WAIT = ["app", "wait"]


async def test_the_far_end_gives_up_at_the_deadline():
    log = []
    async with linked(tree(App(log))) as (near, far):
        with raises(rt.TimeoutError) as info:
            await near.request(Call(), WAIT, options=options(deadline_ms=20))
        assert "deadline" in str(info.exc)
        await until(lambda: "waited" in log)
        assert await near.request(Call(), ["app", "add"], (1,), None, options(10_000)) == 3
        async with near.stream_with(options(20), ["app", "deaf"], (), {}) as st:
            with raises(rt.TimeoutError):
                await st.recv()
        await until(lambda: "ended" in log)
        await idle(near, far)


async def test_an_earlier_deadline_comes_first():
    async with linked() as (near, far), rt.TaskGroup() as tg:
        late, early = [], []

        async def wait(log, ms):
            try:
                await near.request(Call(), WAIT, options=options(ms))
            except rt.TimeoutError:
                log.append(ms)

        tg.start_soon(wait, late, 100_000)
        await until(lambda: len(far.core.served) == 1)
        tg.start_soon(wait, early, 20)
        await until(lambda: early)
        assert not late
        tg.cancel()


async def test_a_deadline_that_has_passed_ends_the_call_at_once():
    log = []
    async with linked(tree(App(log))) as (near, far):
        with raises(rt.TimeoutError):
            await near.request(Call(), WAIT, options=options(0))
        await idle(near, far)


async def test_a_deadline_shrinks_on_its_way():
    a, b = pair(hangs_up=False)
    a.out.size = 20  # the line takes little, so the call waits
    cmd = end(a)
    async with cmd, Raw(b) as raw, rt.TaskGroup() as tg:
        await raw.open()
        await cmd.ready()
        tg.start_soon(outcome, [], cmd, ["x"], bytes(100))
        tg.start_soon(outcome, [], cmd, ["x"], bytes(100))
        await until(lambda: len(cmd.core.calls) == 2)
        await until(lambda: not cmd.core.out)  # on their way
        tg.start_soon(cmd.request, Call(), ["y"], (), None, options(1000))
        await until(lambda: len(cmd.core.calls) == 3)
        await rt.sleep_ms(30)
        for _ in range(2):
            await raw.expect(CALL)
        msg = await raw.expect(CALL)
        assert 500 < msg[5][DEADLINE] <= 970
        tg.cancel()


async def test_a_hop_ends_a_call_by_itself():
    async with chained() as hops:
        near = hops[0].next.cmd
        hops[3].back.cmd.s.parent.inp.held = True  # as if it were dead
        with raises(rt.TimeoutError):
            await near.request(Call(), ["next", "next", "app", "wait"], options=options(30))
        await idle(*hops[0].links())
        await until(lambda: not hops[1].back.cmd.core.served)
        hops[3].back.cmd.s.parent.inp.held = False


async def test_a_traceback_comes_if_asked_for():
    async with linked() as (near, far):
        with raises(RemoteError) as info:
            await near.call(["app", "bad"], "odd")
        assert info.exc.remote_traceback is None
        with raises(RemoteError) as info:
            await near.request(Call(), ["app", "bad"], ("odd",), None, options(traceback=True))
        assert "cmd_bad" in info.exc.remote_traceback
        assert "OddError" in info.exc.remote_traceback
        await idle(near, far)


async def test_registered_errors_arrive_as_such():
    try:
        errors.register(OddError)
        assert errors.register(OddError) is OddError
        async with linked() as (near, _):
            with raises(OddError) as info:
                await near.call(["app", "bad"], "odd")
            assert info.exc.args[0] == "odd"
    finally:
        errors.registered.clear()

    with raises(ValueError):
        errors.register(type("KeyError", (Exception,), {}))
    with raises(TypeError):
        errors.register(int)


async def test_a_notice_runs_without_a_reply():
    log = []
    async with linked(tree(App(log))) as (near, far):
        for _ in range(3):
            near.notify(["app", "bad"], "value")
        await until(lambda: log == ["bad"] * 3)
        near.notify(["nothing"])
        assert await near.call(["app", "add"], 1) == 3
        await idle(near, far)
        assert near.core.skipped == 0


async def test_notices_are_bounded_like_calls():
    log = []
    a, b = pair()
    near, far = end(a), end(b, tree(App(log)), max_served=4)
    async with near, far:
        await near.ready()
        for _ in range(10):
            near.notify(WAIT)
        await until(lambda: log.count("started") == 4)
        assert len(far.core.served) == 4
        await until(lambda: not near.core.out)


async def test_cancelling_holds_the_id_until_the_command_has_ended():
    log = []

    class Slow(App):
        async def cmd_slow(self):
            self.log.append("started")
            try:
                await rt.Event().wait()
            finally:
                async with rt.grace_ms(1000):
                    await leave.wait()
                self.log.append("left")

    leave = rt.Event()
    async with linked(tree(Slow(log))) as (near, far), rt.TaskGroup() as tg:
        task = tg.start_soon(outcome, [], near, ["app", "slow"])
        await until(lambda: "started" in log)
        task.cancel()
        await until(lambda: not near.core.out)
        assert await near.call(["app", "add"], 1) == 3
        assert len(far.core.served) == 1
        leave.set()
        await until(lambda: "left" in log)
        await idle(near, far)


async def test_unknown_fields_are_ignored():
    a, b = pair()
    async with end(a, tree()) as cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        await raw.send(CALL, 1, ["app", "add"], b"\x91\x01", None, {77: "x", -1: [1]}, "more", 5)
        assert await raw.expect(REPLY) == [REPLY, 1, b"\x03"]
        skipped = cmd.core.skipped
        await raw.send(CALL, 2, ["app", "add"], b"\x91\x01", None, {DEADLINE: "x"})
        await raw.send(CANCEL, 2)
        await raw.send(CALL, 5, ["app", "add"], b"\x91\x02")
        assert await raw.expect(REPLY) == [REPLY, 5, b"\x04"]
        assert cmd.core.skipped == skipped + 2


async def test_fractions_of_options_are_left_out():
    async with linked() as (near, _):
        for kw in ({"deadline_ms": 5000.5}, {"keep": 1.5}):
            assert await near.request(None, ["app", "add"], (1,), None, options(**kw)) == 3
