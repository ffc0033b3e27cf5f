"""A peer that is broken, or means harm: it ends what is its own, and no more."""

from _commands import App, Hop, Raw, end, idle, tree
from _helpers import ON_DEVICE, raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd._wire import (
    AT,
    CALL,
    CANCEL,
    CREDIT,
    DEADLINE,
    ERROR,
    FED,
    FEED,
    HELLO,
    ID_BITS,
    ITEM,
    KEEP,
    REPLY,
    ROOM,
    TRACE,
    VERSION,
)
from moat.micro.cmd.call import Call, options
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import ProtocolError

ADD = [["app", "add"], b"\x91\x01"]


async def answers(raw, ident=200):
    """The other end still serves."""
    await raw.send(CALL, ident, *ADD)
    while True:
        msg = await raw.expect(REPLY, ERROR)
        if msg[1] == ident:
            assert msg == [REPLY, ident, b"\x03"]
            return


@rt.asynccontextmanager
async def attacked(root=None, size=1 << 16, **kw):
    """Yield an end, and who talks to it."""
    a, b = pair(size=size)
    async with end(a, root or tree(), **kw) as cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        yield cmd, raw


@rt.asynccontextmanager
async def between():
    """Yield a hop, who calls it, and who is called by it."""
    hop = Hop("hop")
    a, b = pair()
    c, d = pair()
    async with end(a, hop.root) as back, end(c) as cmd, Raw(b) as caller, Raw(d) as callee:
        await caller.open()
        await callee.open()
        await back.ready()
        await cmd.ready()
        hop.next.cmd, hop.back.cmd = cmd, back
        yield hop, caller, callee


async def send_all(raw, msgs):
    for msg in msgs:
        await raw.send(*msg)


# ---- more than was allowed


async def test_items_beyond_the_credit_end_the_stream():
    async with attacked(window=20) as (cmd, raw):
        async with cmd.stream(["x"]) as st:
            ident = (await raw.expect(CALL))[1]
            await send_all(raw, [(ITEM, ident, b"\xa7" + bytes(7))] * 50)
            assert await raw.expect(CANCEL) == [CANCEL, ident]
            assert len(st._items) == 3
            for _ in range(3):
                await st.recv()
            with raises(ProtocolError) as info:
                await st.recv()
            assert "allowed" in str(info.exc)
        await raw.send(ERROR, ident, ["CancelledError"])
        await idle(cmd)
        await answers(raw)


async def test_feeds_beyond_the_room_end_the_command():
    log = []
    async with attacked(tree(App(log)), window=20) as (cmd, raw):
        for path, n in ((["app", "sum"], 11), (["app", "deaf"], 1)):
            await raw.send(CALL, 7, path, b"", 100)
            await until(lambda: cmd.core.served)
            await settle()
            cmd.core.served[7].stream._taken = -1000  # it grants no more
            await send_all(raw, [(FEED, 7, b"\x01")] * n)
            msg = await raw.expect(ERROR)
            assert msg[1] == 7
            assert msg[2][0] == "ProtocolError"
            await until(lambda: "ended" in log)
            log.clear()
        await idle(cmd)
        await answers(raw)


async def test_a_hop_passes_no_more_on_than_was_allowed():
    async with between() as (hop, caller, callee):
        await caller.send(CALL, 5, ["next", "x"], b"", 10)
        ident = (await callee.expect(CALL))[1]
        await send_all(callee, [(ITEM, ident, b"\x01")] * 20)
        for _ in range(5):
            assert await caller.expect(ITEM, ERROR) == [ITEM, 5, b"\x01"]
        assert (await caller.expect(ITEM, ERROR))[2][0] == "ProtocolError"
        assert await callee.expect(CANCEL) == [CANCEL, ident]
        await callee.send(ERROR, ident, ["CancelledError"])

        await caller.send(CALL, 6, ["next", "x"], b"", 10)
        ident = (await callee.expect(CALL))[1]
        await callee.send(ROOM, ident, 4)
        assert await caller.expect(ROOM) == [ROOM, 6, 4]
        await send_all(caller, [(FEED, 6, b"\x01")] * 20)
        assert (await caller.expect(ITEM, ERROR))[2][0] == "ProtocolError"
        for _ in range(2):
            assert await callee.expect(FEED, CANCEL) == [FEED, ident, b"\x01"]
        assert await callee.expect(FEED, CANCEL) == [CANCEL, ident]
        await callee.send(REPLY, ident)
        await idle(*hop.links())
        await answers(caller)


# ---- floods


async def test_who_does_not_read_the_replies_fills_nothing():
    async with attacked(size=2000, max_served=4) as (cmd, raw):
        for i in range(2000):
            await raw.send(CALL, i % 255 + 1, *ADD)
            if i % 10 == 0:
                await settle()
        await until(lambda: not raw._buf.out.data)
        await settle()
        assert len(cmd.core.out) <= 256 + 4
        assert len(cmd.core.served) <= 4
        while cmd.core.out or raw._buf.inp.data:
            await raw.recv()
        await answers(raw, 3)


async def test_a_flood_of_notices_does_not_fill_a_hop():
    async with between() as (hop, caller, callee):
        callee._buf.inp.size = 0  # the line to it takes nothing
        await send_all(caller, [(CALL, 0, ["next", "x"])] * 300)
        await answers(caller)
        assert len(hop.next.cmd.core.out) <= 64
        callee._buf.inp.size = 1 << 16
        callee._buf.inp.notify()
        for _ in range(50):
            assert await callee.expect(CALL) == [CALL, 0, ["x"]]


async def test_a_flood_of_small_messages_does_not_fill_a_hop():
    async with between() as (hop, caller, callee):
        await caller.send(CALL, 5, ["next", "x"], b"", 10)
        ident = (await callee.expect(CALL))[1]
        callee._buf.inp.size = 0
        flood = [(CREDIT, 5, 1), (FED, 5), (CREDIT, 5, 0xFFFFFFFF)]
        await send_all(caller, flood * 100)
        await answers(caller)
        assert len(hop.next.cmd.core.out) <= 4
        callee._buf.inp.size = 1 << 16
        callee._buf.inp.notify()
        assert (await callee.expect(CREDIT))[:2] == [CREDIT, ident]

        caller._buf.inp.size = 0
        await send_all(callee, [(ROOM, ident, 1)] * 300 + [(REPLY, ident)])
        await until(lambda: not hop.next.cmd.core.calls)
        assert len(hop.back.cmd.core.out) <= 4
        caller._buf.inp.size = 1 << 16
        caller._buf.inp.notify()
        await idle(*hop.links())
        await answers(caller)


async def test_cancelling_again_and_again_does_no_more_than_once():
    log = []

    class Slow(BaseCmd):
        async def cmd_slow(self):
            try:
                log.append("started")
                await rt.Event().wait()
            finally:
                async with rt.grace_ms(1000):
                    await leave.wait()
                log.append("left")

    leave = rt.Event()
    async with attacked(tree(Slow())) as (cmd, raw):
        await raw.send(CALL, 7, ["app", "slow"])
        await until(lambda: log)
        await send_all(raw, [(CANCEL, 7)] * 100)
        await until(lambda: not raw._buf.out.data)
        await settle()
        assert log == ["started"]
        leave.set()
        assert (await raw.expect(ERROR))[1] == 7
        assert log == ["started", "left"]
        await idle(cmd)


class Slow(BaseCmd):
    """A command that takes its time to end."""

    def __init__(self, running, leave):
        self.running = running
        self.leave = leave

    async def cmd_slow(self):
        self.running.append(1)
        try:
            await rt.Event().wait()
        finally:
            async with rt.grace_ms(1000):
                await self.leave.wait()
            self.running.pop()


async def test_commands_that_outlive_their_deadline_count():
    running, leave = [], rt.Event()
    async with attacked(tree(Slow(running, leave)), max_served=3) as (cmd, raw):
        said, n = "TimeoutError", 0
        while said == "TimeoutError":  # also if it came before the command could begin
            n += 1
            await raw.send(CALL, n, ["app", "slow"], b"", None, {DEADLINE: 1})
            said = (await raw.expect(ERROR))[2][0]
            assert len(running) <= 3
        assert (said, len(running)) == ("BusyError", 3)
        leave.set()
        await idle(cmd)
        assert not running
        await raw.send(CALL, 255, ["app", "slow"], b"", None, {DEADLINE: 1})
        assert (await raw.expect(ERROR))[2][0] == "TimeoutError"


async def test_commands_that_outlive_their_session_count():
    running, leave = [], rt.Event()
    async with attacked(tree(Slow(running, leave)), max_served=3) as (cmd, raw):
        for n in range(1, 6):
            await raw.send(CALL, n, ["app", "slow"])
            await raw.send(CALL, 100 + n, *ADD)  # of an app that is none: an error
            assert (await raw.expect(ERROR))[1] in (n, 100 + n)
            await until(lambda n=n: len(running) == min(3, n))
            raw.own = Raw.own + (n << 12) | ID_BITS
            await raw.open()
            await cmd.ready()
            await settle()
        assert len(running) == 3
        leave.set()
        await idle(cmd)
        assert not running
        await raw.send(CALL, 7, ["app", "slow"])
        await until(lambda: running)
        await raw.send(CANCEL, 7)
        assert (await raw.expect(ERROR))[1] == 7


async def test_what_is_kept_is_bounded_whatever_is_asked_for():
    class Fast(BaseCmd):
        async def stream_run(self, st):
            for _ in range(50):
                await st.send(bytes(100))
            assert len(st._kept) == 9
            done.append(1)

    done = []
    async with attacked(Dispatch({"app": Fast()}), window=1000) as (cmd, raw):
        await raw.send(CALL, 7, ["app", "run"], b"", 0, {KEEP: 0xFFFFFFFF})
        await until(lambda: done)
        await raw.send(CREDIT, 7, 5000)
        msg = await raw.expect(ITEM, ERROR)
        assert msg[3] == 41
        for _ in range(8):
            assert len(await raw.expect(ITEM, ERROR)) == 3
        assert await raw.expect(ITEM, REPLY) == [REPLY, 7]
        await idle(cmd)


# ---- odd contents


async def test_a_kept_value_that_the_peer_does_not_take_ends_its_stream():
    class Fast(BaseCmd):
        async def stream_run(self, st):
            await st.send(0)
            await st.send(bytes(500))
            await rt.Event().wait()

    for before, after in ((300, 300), (4096, 300)):  # its limit
        async with attacked(tree(Fast())) as (cmd, raw):
            raw.limit, raw.own = before, Raw.own + (1 << 12) | ID_BITS
            await raw.open()
            await cmd.ready()
            await raw.send(CALL, 7, ["app", "run"], b"", 1, {KEEP: 1})
            await raw.expect(ITEM)
            await settle()
            await raw.send(HELLO, VERSION, raw.own, cmd.core.own, after, {})
            await raw.send(CREDIT, 7, 1000)
            err = (await raw.expect(ERROR))[2]
            assert err[0] == "MessageTooLongError"
            await raw.send(CALL, 8, ["dir_"])
            await raw.expect(REPLY)
            await idle(cmd)


async def test_options_of_an_end_may_be_anything():
    async with between() as (hop, caller, callee):
        odd = [{TRACE: [5, [], ["x"], ["x", 5], [[]]]}, {AT: ["x", -5, None, [1]]}, {TRACE: {}}]
        odd += [5, [1], {77: [[[]]] * 50}, {AT: list(range(600))}, {TRACE: [["x" * 50, 1]] * 50}]
        for i, opts in enumerate(odd):
            for kind, data in ((REPLY, b"\x01"), (ERROR, ["KeyError"])):
                await caller.send(CALL, 5, ["next", "x"], b"", None, {TRACE: []})
                await callee.send(kind, (await callee.expect(CALL))[1], data, opts)
                msg = await caller.expect(REPLY, ERROR)
                assert msg[1] == 5, i
        await idle(*hop.links())
        await answers(caller)


async def test_the_options_of_an_end_do_not_harm_the_caller():
    async with attacked() as (cmd, raw), rt.TaskGroup() as tg:
        log = []

        async def call(opts):
            one = Call()
            try:
                log.append(await cmd.request(one, ["x"], (), None, opts))
            except KeyError as exc:
                log.append(getattr(exc, "at", None))
            log.append(one.trace)

        for kind, data, opts in (
            (REPLY, b"\x01", {TRACE: [5, [], ["x"], ["x", 5], [[], 1]]}),
            (ERROR, ["KeyError"], {AT: ["x", -5, None, [1]]}),
            (REPLY, b"", {TRACE: [["x", 5]]}),
        ):
            tg.start_soon(call, options(trace=True))
            await raw.send(kind, (await raw.expect(CALL))[1], data, opts)
        await until(lambda: len(log) == 6)
        at = None if ON_DEVICE else ""
        assert log == [1, [([], 1), ("x", 5)], at, [], None, [("x", 5)]]


async def test_paths_may_be_anything():
    async with attacked() as (cmd, raw):
        deep = []
        for _ in range(25):
            deep = [deep]
        odd = [[[]], [{}], [None, 5], [b"app", "add"], "", [], ["app", "add\0"], [deep], ["app"]]
        odd += [["app", ["add"]], ["__class__"], ["app", "__init__"], "app", ["x"] * 300]
        for path in odd:
            await raw.send(CALL, 5, path)
            msg = await raw.expect(REPLY, ERROR)
            assert msg[:2] == [ERROR, 5]
            assert msg[2][0] in ("NotFoundError", "TypeError"), msg
        await idle(cmd)
        await answers(raw)
