"""CmdMsg: how sessions begin and end, and what becomes of the calls in between."""

from _commands import App, Raw, end, frame, idle, outcome, tree
from _helpers import raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd._wire import BYE, CALL, HELLO, ID_BITS, REPLY, VERSION
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import CallNotRunError, InUseError, LinkLost, LostCallError, ProtocolError

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
    await until(lambda: len(cmd.core.calls) == n)


# ---- begin


async def start_one_by_one(first, second, buf):
    """Start `first`, then `second` on `buf`."""
    ready = []

    async def wait():
        await first.ready()
        ready.append(1)

    async with rt.TaskGroup() as tg, first:
        tg.start_soon(wait)
        await settle()
        buf.inp.data[:] = b""  # there was nobody who could have heard it
        assert not ready
        with raises(CallNotRunError):
            await first.call(ADD, 1)
        async with second:
            await second.ready()
            await until(lambda: ready)
            assert await first.call(ADD, 1) == 3
            assert await second.call(ADD, 2) == 4


async def test_either_side_may_start_first():
    a, b = pair(hangs_up=False)
    await start_one_by_one(end(a, tree()), end(b, tree()), b)
    a, b = pair(hangs_up=False)
    await start_one_by_one(end(b, tree()), end(a, tree()), a)


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
        await until(lambda: not far.core.open)


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
                assert isinstance(exc, LostCallError)
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
            assert isinstance(exc, LostCallError)
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
            assert isinstance(exc, LostCallError)
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
            assert isinstance(exc, LostCallError)
        assert not near.core.open
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
            assert isinstance(exc, LostCallError)
            assert "closed on this side" in str(exc)
        with raises(LinkLost):
            await near.call(ADD, 1)


async def test_being_cancelled_does_the_same():
    log = []
    a, b = pair(hangs_up=False)
    near, far = end(a), end(b, tree())
    async with far, rt.TaskGroup() as tg:
        task = tg.start_soon(hold, near, lambda: False)
        await far.ready()
        await near.ready()
        tg.start_soon(outcome, log, near, WAIT)
        await settle()
        task.cancel()
        await until(lambda: log)
        assert isinstance(log[0], LostCallError)
        await until(lambda: not far.core.open)
        await idle(far)


async def test_leaving_by_an_error_does_the_same():
    a, b = pair(hangs_up=False)
    near, far = end(a), end(b, tree())
    async with far:
        with raises(KeyError):
            async with near:
                await near.ready()
                raise KeyError(1)
        await until(lambda: not far.core.open)
        with raises(LinkLost):
            await near.call(ADD, 1)


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
                assert isinstance(exc, LostCallError)
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


async def reset_and_go_on(both):
    """Replace the link below one end, or both, while calls are under way."""
    log, served = [], []
    a, b = pair(hangs_up=False)
    near, far = end(a, tree()), end(b, tree(App(served)))
    async with near, far, rt.TaskGroup() as tg:
        await near.ready()
        await far.ready()
        await start_calls(tg, near, 3, log, WAIT)
        tg.start_soon(outcome, log, far, WAIT)
        await until(lambda: served.count("started") == 3)
        await until(lambda: near.core.served)
        a.reset()
        if both:
            b.reset()
        await until(lambda: len(log) == 4 and served.count("waited") == 3)
        for exc in log:
            assert isinstance(exc, LostCallError)
        await near.ready()
        await far.ready()
        assert await near.call(ADD, 1) == 3
        assert await far.call(ADD, 1) == 3
        await idle(near, far)


async def test_a_reset_below_resets_all_calls_and_the_session_comes_again():
    await reset_and_go_on(False)
    await reset_and_go_on(True)


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
