"""CmdMsg: how sessions begin and end, and what becomes of the calls in between."""

from _commands import App, Raw, end, frame, idle, linked, outcome, tree
from _helpers import forever, raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd._wire import BYE, CALL, HELLO, ID_BITS, REPLY, VERSION
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import InUseError, LinkLost, LinkReset, ProtocolError

ADD = ["app", "add"]
WAIT = ["app", "wait"]


async def hold(cmd, until_):
    """Have `cmd` open until `until_` holds."""
    async with cmd:
        await until(until_)


async def start_calls(tg, cmd, n, log, *args):
    """Start `n` calls of a command that waits."""
    for _ in range(n):
        tg.start_soon(outcome, log, cmd, *args)
    await until(lambda: len(cmd._core.calls) == n)


# ---- begin


async def test_either_side_may_start_first():
    for late in (0, 1):
        ends = pair(hangs_up=False)
        cmds = [end(ends[0], tree()), end(ends[1], tree())]
        ready = []

        async def wait(cmd):
            await cmd.ready()
            ready.append(cmd)

        async with rt.TaskGroup() as tg, cmds[1 - late]:
            tg.start_soon(wait, cmds[1 - late])
            await settle()
            ends[late].inp.data[:] = b""  # there was nobody who could have heard it
            assert not ready
            with raises(LinkLost):
                await cmds[1 - late].call(ADD, 1)
            async with cmds[late]:
                await cmds[late].ready()
                await until(lambda: ready)
                assert await cmds[0].call(ADD, 1) == 3
                assert await cmds[1].call(ADD, 2) == 4


async def test_both_start_on_a_line_that_is_full_of_old_text():
    a, b = pair(chunk=20)
    for buf in (a, b):
        buf.inject(b"MicroPython v1.25\r\n>>> " + frame([REPLY, 1]) + b"\xc1\xc4\x64")
    near, far = end(a), end(b, tree())
    async with near, far:
        await near.ready()
        assert await near.call(ADD, 1) == 3


async def test_entered_twice_is_an_error_and_again_after_leaving_works():
    a, b = pair(hangs_up=False)
    near, far = end(a), end(b, tree())
    async with far:
        for _ in range(3):
            async with near:
                with raises(InUseError):
                    async with near:
                        raise AssertionError
                await near.ready()
                assert await near.call(ADD, 1) == 3
        # The side that stays sees each of them come and go.
        await until(lambda: not far._core.open)


async def test_on_session_tells_who_comes_and_goes():
    log = []
    a, b = pair(hangs_up=False)
    far = end(b, tree(), on_session=log.append)
    async with far:
        await settle()
        assert log == []
        async with end(a) as near:
            await near.ready()
            assert log == [True]
        await until(lambda: log == [True, False])
        async with end(a) as near:
            await near.ready()
    assert log == [True, False, True, False]


async def test_another_version_is_refused_by_name():
    a, b = pair(hangs_up=False)
    cmd = end(a, tree())
    closed = []

    async def watch():
        await cmd.closed()
        closed.append(1)

    async with rt.TaskGroup() as tg, cmd:
        tg.start_soon(watch)
        async with Raw(b) as raw:
            await raw.send(HELLO, 7, 0x55 | ID_BITS, None, 4096)
            with raises(ProtocolError) as info:
                await cmd.ready()
            assert "version 7" in str(info.exc)
            assert "end %d" % VERSION in str(info.exc)
            with raises(ProtocolError):
                await cmd.call(ADD, 1)
            # One that fits may come, still.
            await raw.open()
            await cmd.ready()
            assert not closed
            log = []
            await start_calls(tg, cmd, 2, log, ["x"])
            await raw.send(HELLO, 8, 0x66 | ID_BITS, None, 4096)
            await until(lambda: len(log) == 2)
            for exc in log:
                assert isinstance(exc, ProtocolError)
            assert not closed
        tg.cancel()


# ---- end


async def test_the_end_of_the_link_ends_all_calls():
    log = []
    a, b = pair()
    near, far = end(a), end(b, tree())
    async with near, rt.TaskGroup() as tg:
        async with far:
            await near.ready()
            await start_calls(tg, near, 3, log, WAIT)
        await near.closed()
        await until(lambda: len(log) == 3)
        for exc in log:
            assert isinstance(exc, (LinkLost, LinkReset))
        with raises(LinkLost):
            await near.call(ADD, 1)
        with raises(LinkLost):
            await near.ready()
        await idle(near)


async def test_a_link_that_is_cut_ends_all_calls_and_commands():
    log, served = [], []
    a, b = pair()
    near, far = end(a), end(b, tree(App(served)))
    async with near, far, rt.TaskGroup() as tg:
        await near.ready()
        await start_calls(tg, near, 3, log, WAIT)
        await until(lambda: served.count("started") == 3)
        a.cut()
        await near.closed()
        await far.closed()
        await until(lambda: len(log) == 3 and served.count("waited") == 3)
        for exc in log:
            assert isinstance(exc, LinkLost)
            assert "cut" in str(exc)
        with raises(LinkLost):
            await near.call(ADD, 1)
        await idle(near, far)


async def test_a_peer_that_leaves_says_so():
    log, served = [], []
    a, b = pair(hangs_up=False)
    near, far = end(a, tree(App(served))), end(b, tree())
    async with near, rt.TaskGroup() as tg:
        async with far:
            await near.ready()
            await far.ready()
            await start_calls(tg, near, 2, log, WAIT)
            tg.start_soon(outcome, [], far, WAIT)
            await until(lambda: "started" in served)
        await until(lambda: len(log) == 2 and "waited" in served)
        for exc in log:
            assert isinstance(exc, LinkReset)
        assert not near._core.open
        await idle(near)


async def test_leaving_ends_the_calls_of_other_tasks():
    log = []
    a, b = pair()
    far = end(b, tree())
    async with far, rt.TaskGroup() as tg:
        async with end(a) as near:
            await near.ready()
            await start_calls(tg, near, 2, log, WAIT)
        await until(lambda: len(log) == 2)
        for exc in log:
            assert isinstance(exc, LinkLost)
            assert "closed on this side" in str(exc)
        with raises(LinkLost):
            await near.call(ADD, 1)


async def test_leaving_by_an_error_or_a_cancellation_does_the_same():
    a, b = pair(hangs_up=False)
    far = end(b, tree())
    async with far, rt.TaskGroup() as tg:
        for how in range(2):
            log, inside = [], []

            async def use(near):
                async with near:
                    await near.ready()
                    inside.append(1)
                    if how:
                        raise KeyError(1)
                    await forever()

            async def use_safely(near):
                try:
                    await use(near)
                except KeyError:
                    inside.append("KeyError")

            near = end(a)
            task = tg.start_soon(use_safely, near)
            await until(lambda: inside)
            if not how:
                tg.start_soon(outcome, log, near, WAIT)
                await settle()
                task.cancel()
                await until(lambda: log)
                assert isinstance(log[0], LinkLost)
            else:
                await until(lambda: "KeyError" in inside)
            await until(lambda: not far._core.open)
            await idle(far)


# ---- begin anew


async def test_a_peer_that_starts_anew_resets_all_calls():
    log, served = [], []
    a, b = pair(hangs_up=False)
    near = end(a, tree(App(served)))
    gone = []
    async with rt.TaskGroup() as tg, near:
        tg.start_soon(hold, end(b, tree()), lambda: gone)
        await near.ready()
        await start_calls(tg, near, 3, log, WAIT)
        new = b.successor()
        gone.append(1)
        async with end(new, tree()) as far:
            await far.ready()
            await near.ready()
            await until(lambda: len(log) == 3)
            for exc in log:
                assert isinstance(exc, LinkReset)
            assert await near.call(ADD, 1) == 3
            assert await far.call(ADD, 5) == 7
            await idle(near, far)


async def test_the_commands_of_a_caller_that_starts_anew_are_cancelled():
    served = []
    a, b = pair(hangs_up=False)
    far = end(b, tree(App(served)))
    gone = []
    async with rt.TaskGroup() as tg, far:
        near = end(a)
        tg.start_soon(hold, near, lambda: gone)
        await far.ready()
        await near.ready()
        await start_calls(tg, near, 2, [], WAIT)
        await until(lambda: served.count("started") == 2)
        new = a.successor()
        gone.append(1)
        async with end(new) as near:
            await near.ready()
            await until(lambda: served.count("waited") == 2)
            assert await near.call(ADD, 1) == 3
            await idle(near, far)


async def test_a_reset_below_resets_all_calls_and_the_session_comes_again():
    for both in (False, True):
        log, served = [], []
        a, b = pair(hangs_up=False)
        near, far = end(a, tree()), end(b, tree(App(served)))
        async with near, far, rt.TaskGroup() as tg:
            await near.ready()
            await far.ready()
            await start_calls(tg, near, 3, log, WAIT)
            tg.start_soon(outcome, log, far, WAIT)
            await until(lambda: served.count("started") == 3)
            await until(lambda: near._core.served)
            a.reset()
            if both:
                b.reset()
            await until(lambda: len(log) == 4 and served.count("waited") == 3)
            for exc in log:
                assert isinstance(exc, LinkReset)
            await near.ready()
            await far.ready()
            assert await near.call(ADD, 1) == 3
            assert await far.call(ADD, 1) == 3
            await idle(near, far)


async def test_an_old_reply_never_meets_a_new_call():
    # The first caller dies while the replies to it wait for the line to take them.
    class Slow(BaseCmd):
        async def cmd_who(self, who):
            ran.append(who)
            return [who] * 20

    ran = []
    a, b = pair(hangs_up=False)
    far = end(b, Dispatch({"app": Slow()}))
    gone = []
    async with rt.TaskGroup() as tg, far:
        near = end(a)
        tg.start_soon(hold, near, lambda: gone)
        await far.ready()
        await near.ready()
        b.out.size = 5  # from now on the line holds little
        for _ in range(5):
            tg.start_soon(outcome, [], near, ["app", "who"], "old")
        a.inp.held = True  # and the caller does not read
        await until(lambda: len(ran) == 5)
        new = a.successor()
        gone.append(1)
        new.inp.held = False
        log = []
        async with end(new) as near:
            await near.ready()
            async with rt.TaskGroup() as calls:
                for _ in range(5):
                    calls.start_soon(outcome, log, near, ["app", "who"], "new")
            assert log == [["new"] * 20] * 5
            await idle(near, far)


# ---- cancellation


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
                await until(lambda: far._core.served)
                await settle()
                task.cancel()
            await until(lambda: name in log)
            await idle(near, far)
    assert near._core.skipped == far._core.skipped == 0


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
        assert near._core.skipped < 1000
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
            if len(near._core.calls) == 255:
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


async def test_a_bye_comes_behind_all_that_was_said():
    a, b = pair()
    async with Raw(b) as raw:
        async with end(a) as cmd, rt.TaskGroup() as tg:
            await raw.open()
            await cmd.ready()
            tg.start_soon(outcome, [], cmd, ["x"])
            assert (await raw.expect(CALL))[2] == ["x"]
            tg.cancel()
        await raw.expect(BYE)
        with raises(EOFError):
            await raw.recv()
