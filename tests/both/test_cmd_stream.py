"""Streams of values over CmdMsg."""

from _commands import App, Raw, end, idle, linked, outcome, tree
from _helpers import raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd._wire import CALL, CANCEL, CREDIT, ITEM, REPLY
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import (
    ArgumentError,
    CallUnknownError,
    LinkLost,
    MessageTooLongError,
    NotFoundError,
    ProtocolError,
)

COUNT = ["app", "count"]


async def read(st, found):
    """Append the values of a stream to `found`."""
    async for value in st:
        found.append(value)


async def stalled(*cmds):
    """Wait until every stream that is served waits for its reader."""
    for cmd in cmds:
        core = cmd.core
        await until(lambda c=core: c.served and not c.out)
        await until(lambda c=core: max(s.stream._credit for s in c.served.values()) <= 0)
    await settle()


async def test_values_arrive_in_order_then_the_result():
    found = []
    async with linked(chunk=5) as (near, far):
        async with near.stream(COUNT, 500) as st:
            assert st.result is None
            await read(st, found)
            assert found == list(range(500))
            assert st.result == "done"
            for _ in range(2):
                with raises(EOFError):
                    await st.recv()
        await idle(near, far)


async def test_an_empty_stream():
    async with linked() as (near, far):
        async with near.stream(COUNT, n=0) as st:
            with raises(EOFError):
                await st.recv()
            assert st.result == "done"
        await idle(near, far)


async def test_several_streams_and_calls_at_once():
    found = [[] for _ in range(4)]

    async def follow(cmd, log):
        async with cmd.stream(COUNT, 60, 20) as st:
            await read(st, log)

    a, b = pair(size=100, chunk=30)
    near, far = end(a, tree(), window=100), end(b, tree(), window=100)
    log = []
    async with near, far:
        await near.ready()
        await far.ready()
        async with rt.TaskGroup() as tg:
            for i in range(4):
                tg.start_soon(follow, (near, far)[i % 2], found[i])
            for i in range(8):
                tg.start_soon(outcome, log, (near, far)[i % 2], ["app", "yield"], i * 5, i)
        await idle(near, far)
    assert found == [[[i, bytes(20)] for i in range(60)]] * 4
    assert sorted(log) == list(range(8))


async def test_a_slow_reader_holds_the_sender_back():
    log = []
    window = 300
    async with linked(tree(App(log)), window=window) as (near, far):
        async with near.stream(COUNT, 200, 20) as st:
            size = 26  # bytes of an item, with the one that each counts extra
            await stalled(far)
            most = window // size + 1
            assert len(st._items) == most
            assert log[1:] == list(range(most))
            # The line stays free for others.
            assert await near.call(["app", "add"], 1) == 3
            n = 0
            async for i, _ in st:
                assert i == n
                n += 1
                await settle()
                await settle()
                ahead = len([x for x in log if isinstance(x, int)]) - n
                assert ahead <= most
            assert n == 200
        await idle(near, far)


async def test_empty_values_are_held_back_too():
    class Nones(BaseCmd):
        async def stream_nones(self, st):
            while True:
                await st.send(None)
                sent.append(1)

    sent = []
    async with linked(Dispatch({"app": Nones()}), window=100) as (near, far):
        st = near.stream(["app", "nones"])
        async with st:
            await stalled(far)
            assert len(sent) == 50
            assert await st.recv() is None


async def test_an_item_may_exceed_the_window():
    found = []
    async with linked(window=10) as (near, far):
        async with near.stream(COUNT, 5, 1000) as st:
            await read(st, found)
        assert found == [[i, bytes(1000)] for i in range(5)]
        await idle(near, far)


async def test_leaving_early_cancels_the_command():
    log = []
    async with linked(tree(App(log)), window=100) as (near, far):
        async with near.stream(COUNT, 1000) as st:
            assert await st.recv() == 0
            assert "ended" not in log
        await until(lambda: "ended" in log)
        assert len(log) < 200
        await idle(near, far)


async def test_an_error_or_a_cancellation_in_the_reader_cancels_the_command():
    async def follow(cmd):
        async with cmd.stream(COUNT, 1000) as st:
            await st.recv()
            log.append("reading")
            while True:
                await rt.sleep_ms(10000)

    log = []
    async with linked(tree(App(log)), window=100) as (near, far):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(follow, near)
            await until(lambda: "reading" in log)
            task.cancel()
        await until(lambda: log.count("ended") == 1)
        with raises(KeyError):
            async with near.stream(COUNT, 1000) as st:
                raise KeyError(1)
        await until(lambda: log.count("ended") == log.count("started"))
        await idle(near, far)
        assert not st._items or await near.call(["app", "add"], 1) == 3


async def test_an_error_of_the_command_comes_after_its_values():
    found = []
    async with linked() as (near, far):
        async with near.stream(["app", "bad"], 3) as st:
            with raises(ValueError) as info:
                await read(st, found)
            assert info.exc.args == ("after", 3)
            assert found == [0, 1, 2]
            with raises(ValueError):
                await st.recv()
        await idle(near, far)


async def test_what_is_wrong_with_a_stream_is_raised_when_it_is_read():
    async with linked() as (near, far):
        for path, args, cls in (
            (["app", "add"], (1,), NotFoundError),
            (["nix"], (), NotFoundError),
            (COUNT, (), ArgumentError),
            (COUNT, (1, 2, 3), ArgumentError),
            (COUNT, ("x",), TypeError),
        ):
            async with near.stream(path, *args) as st:
                with raises(cls):
                    await st.recv()
        with raises(NotFoundError):
            await near.call(COUNT, 1)
        await idle(near, far)


class Odd(BaseCmd):
    """Streams that do not do what they should."""

    def __init__(self):
        self.log = []

    async def stream_mixed(self, st):
        for value in (1, object(), 2, bytes(5000), 3):
            try:
                await st.send(value)
            except (TypeError, MessageTooLongError) as exc:
                self.log.append(type(exc))

    async def stream_two(self, st, n):
        async def some(start):
            for i in range(start, start + n):
                await st.send(i)

        async with rt.TaskGroup() as tg:
            tg.start_soon(some, 0)
            tg.start_soon(some, 1000)

    async def stream_impatient(self, st, n):
        sent = 0
        while sent < n:
            try:
                async with rt.timeout_ms(1):
                    await st.send(sent)
                    sent += 1
            except rt.TimeoutError:
                self.log.append("late")

    async def stream_keep(self, st):
        self.log.append(st)


async def test_a_value_that_cannot_be_sent_is_the_senders_error():
    odd = Odd()
    found = []
    async with linked(Dispatch({"app": odd}), window=100) as (near, far):
        async with near.stream(["app", "mixed"]) as st:
            await read(st, found)
        await idle(near, far)
    assert found == [1, 2, 3]
    assert odd.log == [TypeError, MessageTooLongError]


async def test_two_tasks_may_send_into_one_stream():
    found = []
    async with linked(Dispatch({"app": Odd()}), size=20, window=20) as (near, far):
        async with near.stream(["app", "two"], 30) as st:
            await read(st, found)
        await idle(near, far)
    assert [x for x in found if x < 1000] == list(range(30))
    assert [x for x in found if x >= 1000] == list(range(1000, 1030))


async def test_a_sender_that_gives_up_waiting_can_go_on():
    odd = Odd()
    found = []
    async with linked(Dispatch({"app": odd}), window=8) as (near, far):
        async with near.stream(["app", "impatient"], 12) as st:
            for turn in range(12):
                late = odd.log.count("late")
                if turn < 3:
                    await until(lambda n=late: odd.log.count("late") > n)
                found.append(await st.recv())
        await idle(near, far)
    assert found == list(range(12))


async def test_after_its_end_nothing_can_be_sent():
    odd = Odd()
    async with linked(Dispatch({"app": odd})) as (near, _):
        async with near.stream(["app", "keep"]) as st:
            with raises(EOFError):
                await st.recv()
        with raises(LinkLost):
            await odd.log[0].send(1)


async def test_a_stream_ends_with_its_session():
    log, errors = [], []
    a, b = pair(hangs_up=False)

    async def follow(cmd):
        async with cmd.stream(COUNT, 1000) as st:
            with raises(CallUnknownError) as info:
                await read(st, [])
            errors.append(info.exc)

    near, far = end(a, window=50), end(b, tree(App(log)))
    async with rt.TaskGroup() as tg, near, far:
        await near.ready()
        tg.start_soon(follow, near)
        await until(lambda: "started" in log)
        a.reset()
        await until(lambda: errors and "ended" in log)
        await near.ready()
        await far.ready()
        await idle(near, far)
        tg.cancel()


# ---- a peer that does not keep to the protocol


async def test_credit_is_granted_as_values_are_taken():
    a, b = pair()
    cmd = end(a, window=100)
    async with cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        async with cmd.stream(["x"]) as st:
            msg = await raw.expect(CALL)
            assert msg[2:] == [["x"], b"", 100]
            ident = msg[1]
            for _ in range(10):
                await raw.send(ITEM, ident, b"\xc4\x08" + bytes(8))
            for _ in range(4):
                await st.recv()
            assert not st._cmd.core.out
            await st.recv()
            assert await raw.recv() == [CREDIT, ident, 55]
            await raw.send(REPLY, ident)
            await until(lambda: st._over)
            for _ in range(5):
                assert await st.recv() == bytes(8)
            with raises(EOFError):
                await st.recv()
            assert st.result is None
        await idle(cmd)
        assert not b.inp.data  # nothing is granted, or cancelled, when it has ended


async def test_malformed_values_are_errors_for_the_reader():
    a, b = pair()
    cmd = end(a)
    async with cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        async with cmd.stream(["x"]) as st:
            ident = (await raw.expect(CALL))[1]
            for data in (b"\x92\x01", b"", 5, None):
                await raw.send(ITEM, ident, data)
                with raises(ProtocolError):
                    await st.recv()
            await raw.send(ITEM, ident, b"\x07")
            assert await st.recv() == 7
        assert await raw.expect(CANCEL) == [CANCEL, ident]
        await raw.send(REPLY, ident)
        await idle(cmd)


class Fast(BaseCmd):
    """Sends as fast as it goes, and notes how much waits for the line."""

    def __init__(self):
        self.queued = []

    async def stream_run(self, st, n, size):
        value = bytes(size)
        for _ in range(n):
            await st.send(value)
            self.queued.append(len(st._cmd.core.out))


async def test_values_are_sent_ahead_of_the_line_but_not_far():
    app = Fast()
    async with linked(Dispatch({"app": app}), window=1 << 15) as (near, _):
        for size, least, most in ((1, 2, 32), (4000, 1, 2)):
            app.queued = []
            async with near.stream(["app", "run"], 200, size) as st:
                async for _value in st:
                    pass
            assert least <= max(app.queued) <= most
            near.notify(["app", "dir_"])
