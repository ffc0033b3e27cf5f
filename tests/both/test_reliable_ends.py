"""ReliableMsg: what becomes of those who wait, and of messages, when something ends."""

from _helpers import raises, settle, until
from _lossy import ends, lossy_pair, receive

from moat.micro import rt
from moat.micro.errors import LinkLost, LinkReset
from moat.micro.proto.reliable import ReliableMsg


async def note(log, name, call):
    """Wait for the call, and note how it ends."""
    try:
        log.append((name, await call))
    except (LinkReset, LinkLost, EOFError) as exc:
        log.append((name, type(exc), getattr(exc, "fate", None)))


async def meet(a, b):
    """Make sure that both are in a session."""
    await a.send("hello")
    assert await b.recv() == "hello"
    await b.send("hello")
    assert await a.recv() == "hello"


def die(end):
    """Have this end be gone without a word."""
    end._core.farewell()
    end.parent.plan = "x"


async def test_all_who_wait_are_told_when_the_peer_starts_anew():
    a, b = ends(window=1, queue=2)
    log = []
    async with a, rt.TaskGroup() as tasks:
        async with b:
            await meet(a, b)
            b.parent.plan = "x"  # no acknowledgement
            await a.send(1)
            await settle()
            await a.send(2)
            tasks.start_soon(note, log, "recv", a.recv())
            tasks.start_soon(note, log, "flush", a.flush())
            for n in (3, 4):
                tasks.start_soon(note, log, n, a.send(n))
            await settle()
            assert log == []
            die(b)
        b.parent.plan = "."
        async with b:
            await until(lambda: len(log) == 4)
            assert set(log) == {
                ("recv", LinkReset, None),
                ("flush", LinkReset, "never sent"),
                (3, LinkReset, "never sent"),
                (4, LinkReset, "never sent"),
            }
            await a.send("new")
            assert await b.recv() == "new"


async def test_flush_tells_what_nobody_was_told_of():
    a, b = ends()
    async with a:
        async with b:
            await meet(a, b)
            b.parent.plan = "x"
            await a.send("lost")
            await settle()
            die(b)
        b.parent.plan = "."
        async with b:
            await until(lambda: a._core.sessions == 1)
            with raises(LinkReset) as caught:
                await a.flush()
            assert caught.exc.fate == "unknown"
            await a.flush()
            await a.send("new")
            assert await b.recv() == "new"


async def test_flush_is_content_when_all_was_delivered_before_the_end():
    a, b = ends(persistent=True)
    async with a:
        async with b:
            await meet(a, b)
            await a.flush()
        await until(lambda: a._core.sessions == 1)
        await a.flush()
        with raises(LinkReset):
            await a.send(1)


async def test_closing_ends_a_send_that_waits():
    a, _ = ends(window=1, queue=1, linger_ms=50)
    log = []
    async with rt.TaskGroup() as tasks:
        async with a:
            await a.send(1)
            tasks.start_soon(note, log, 2, a.send(2))
            tasks.start_soon(note, log, "flush", a.flush())
            await settle()
        await until(lambda: len(log) == 2)
    assert set(log) == {(2, LinkLost, "never sent"), ("flush", LinkLost, "never sent")}


async def test_the_end_of_the_peer_ends_a_send_that_waits():
    a, b = ends(window=1, queue=1, linger_ms=20)
    log = []
    async with a, rt.TaskGroup() as tasks:
        async with b:
            await meet(a, b)
            a.parent.plan = "x"
            await a.send(1)
            tasks.start_soon(note, log, 2, a.send(2))
            tasks.start_soon(note, log, "flush", a.flush())
            await settle()
        await until(lambda: len(log) == 2)
    assert set(log) == {(2, LinkLost, "never sent"), ("flush", LinkLost, "unknown")}
    assert isinstance(a._core.ended, EOFError)


async def test_those_who_wait_for_room_get_their_turn_in_order():
    a, b = ends(window=1, queue=1)
    async with a, rt.TaskGroup() as tasks:
        await a.send(0)
        for n in range(1, 8):
            tasks.start_soon(a.send, n)
            await rt.sleep_ms(0)
        async with b:
            assert await receive(b, 8) == list(range(8))


async def test_a_newer_value_that_waits_is_not_replaced_by_an_older_one():
    a, b = ends(window=1, queue=1)
    async with a, rt.TaskGroup() as tasks:
        await a.send("full")
        for n in range(8):
            tasks.start_soon(a.send, n, "x")
            await rt.sleep_ms(0)
        async with b:
            assert await b.recv() == "full"
            found = []
            while not found or found[-1] != 7:
                found.append(await b.recv())
            assert found == sorted(found)


async def test_a_cancelled_send_was_not_accepted():
    a, b = ends(window=1, queue=1)
    async with a:
        await a.send(0)
        async with rt.TaskGroup() as tasks:
            for n in (1, 2):  # one waits for room, the other one for its turn
                tasks.start_soon(a.send, n)
                await settle()
            tasks.cancel()
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(a.send, 3)
            async with b:
                assert await receive(b, 2) == [0, 3]


async def test_a_turn_is_passed_on_when_the_first_one_is_cancelled():
    a, b = ends(window=1, queue=1)
    async with a, rt.TaskGroup() as outer:
        await a.send(0)
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(a.send, 1)
            await settle()
            outer.start_soon(a.send, 2)
            await settle()
            tasks.cancel()
        async with b:
            assert await receive(b, 2) == [0, 2]


async def test_a_cancelled_flush_changes_nothing():
    a, b = ends()
    async with a:
        await a.send(1)
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(a.flush)
            await settle()
            tasks.cancel()
        async with b:
            assert await b.recv() == 1
            await a.flush()


async def test_who_is_cancelled_takes_leave():
    a, b = ends(keepalive_ms=60000, silence_ms=60000)

    async def use():
        async with a:
            await meet(a, b)
            met.set()
            await rt.Event().wait()

    met = rt.Event()
    async with b:
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(use)
            await met.wait()
            tasks.cancel()
        with raises(EOFError, LinkLost):  # on the host it has no time to wait for the answer
            await b.recv()


async def test_leaving_does_not_wait_for_a_link_that_takes_nothing():
    a, b = ends(linger_ms=30)
    async with b:
        async with a:
            await meet(a, b)
            a.parent.plan = "|"
            await a.send("stuck")
            await settle()
        assert a._core.ended is not None


async def test_who_is_cancelled_while_it_leaves_ends_soon():
    a, b = ends(linger_ms=100)
    left = []

    async def use():
        async with a:
            await meet(a, b)
            a.parent.plan = "|"
            await a.send("stuck")
            left.append("leaves")

    async with b:
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(use)
            await until(lambda: left)
            await settle()
            tasks.cancel()
        assert a._core.ended is not None


async def test_a_link_that_takes_nothing_has_its_own_limit():
    a, b = lossy_pair()
    a = ReliableMsg(a, keepalive_ms=10, silence_ms=40, down_ms=120)
    b = ReliableMsg(b, linger_ms=10)
    async with b, a:
        await meet(a, b)
        a.parent.plan = "|"
        b.parent.plan = "x"
        began = rt.ticks_ms()
        with raises(LinkLost):
            await a.recv()
        assert rt.ticks_diff(rt.ticks_ms(), began) >= 80
        a.parent.gate.set()


async def test_a_link_that_takes_nothing_ends_those_who_wait():
    a, b = lossy_pair()
    a = ReliableMsg(a, keepalive_ms=10, silence_ms=40, down_ms=60, window=1, queue=1)
    b = ReliableMsg(b, linger_ms=10)
    log = []
    async with b, a, rt.TaskGroup() as tasks:
        await meet(a, b)
        a.parent.plan = "|"
        b.parent.plan = "x"
        await a.send(1)
        tasks.start_soon(note, log, 2, a.send(2))
        tasks.start_soon(note, log, "flush", a.flush())
        await until(lambda: len(log) == 2)
        assert set(log) == {(2, LinkLost, "never sent"), ("flush", LinkLost, "unknown")}
        a.parent.gate.set()
