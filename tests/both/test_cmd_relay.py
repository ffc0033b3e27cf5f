"""Calls and streams through several devices."""

from _commands import chained, idle, outcome
from _helpers import raises, settle, until

from moat.micro import rt
from moat.micro.cmd.call import Call, options
from moat.micro.errors import (
    CallNotRunError,
    CallUnknownError,
    MessageTooLongError,
    NotFoundError,
    RemoteError,
)

FAR = ["next", "next", "app"]  # from the first device's root; the host is at device zero


def far(*items):
    """Return a path at the last device."""
    return FAR + list(items)


async def read(st, found):
    """Append the values of a stream to `found`."""
    while True:
        try:
            found.append(await st.recv())
        except EOFError:
            return


async def all_idle(hops):
    """Wait until there is nothing in any table."""
    for hop in hops:
        await idle(*hop.links())


async def test_a_call_goes_through_links():
    async with chained() as hops:
        near = hops[0].next.cmd
        assert await near.call(["app", "add"], 1) == 3
        assert await near.call(["next", "app", "add"], 1) == 3
        assert await near.call(far("add"), 40, b=4) == 44
        assert await near.call(far("echo"), 1, x=[1.1, None]) == [[1], {"x": [1.1, None]}]
        await all_idle(hops)


async def test_letters_lead_through_links_too():
    async with chained() as hops:
        near = hops[0].next.cmd
        assert await near.call("nnaadd", 5) == 7
        await all_idle(hops)


async def test_a_float_keeps_its_bits():
    async with chained() as hops:
        link = hops[0].next.cmd
        double = b"\x91\xcb\x3f\xf1\x99\x99\x99\x99\x99\x9a"  # 1.1, with 64 bits
        got = []

        class Raw:
            order = 0

            def end(self, data, err, options):
                got.append((data, err))

        link.pass_on(Raw(), far("same"), double, None, None)
        await until(lambda: got)
        assert got == [(double[1:], None)]
        await all_idle(hops)


async def test_the_path_of_an_error_is_told():
    async with chained() as hops:
        near = hops[0].next.cmd
        with raises(RemoteError) as info:
            await near.call(far("bad"), "odd")
        assert info.exc.args[0] == "OddError"
        assert info.exc.path == "next.next.app.bad"
        assert info.exc.at == "next.next"
        with raises(NotFoundError) as info:
            await near.call(["next", "nxt", "app", "add"])
        assert (info.exc.path, info.exc.at) == ("next.nxt.app.add", "next")
        assert "next" in str(info.exc)
        with raises(NotFoundError) as info:
            await near.call(["app", "x"])
        assert info.exc.at == ""
        with raises(NotFoundError) as info:
            await near.call(far("x", "y"))
        with raises(CallNotRunError) as info:
            await near.call(["next", "next", "next", "app", "add"])  # there is nothing behind it
        assert info.exc.at == "next.next"
        await all_idle(hops)


async def test_a_stream_goes_through_links():
    found = []
    async with chained() as hops:
        near = hops[0].next.cmd
        async with near.stream(far("count"), 100) as st:
            await read(st, found)
        assert found == list(range(100))
        assert st.result == "done"
        async with near.stream(far("sum")) as st:
            for n in range(10):
                await st.send(n)
            await st.finish()
            sums = []
            await read(st, sums)
        assert sums == [0, 1, 3, 6, 10, 15, 21, 28, 36, 45]
        assert st.result == 45
        await all_idle(hops)


async def test_a_slow_reader_holds_the_far_end_back():
    async with chained(window=50) as hops:
        near = hops[0].next.cmd
        async with near.stream(far("count"), 1000) as st:
            await st.recv()
            await settle()
            await settle()
            assert len(hops[3].log) < 60
            for n in range(1, 1000):
                assert await st.recv() == n
        await all_idle(hops)


async def test_cancelling_reaches_the_far_end():
    async with chained() as hops:
        near = hops[0].next.cmd
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(outcome, [], near, far("wait"))
            await until(lambda: "started" in hops[3].log)
            task.cancel()
        await until(lambda: "waited" in hops[3].log)
        async with near.stream(far("count"), 100000) as st:
            await st.recv()
        await until(lambda: "ended" in hops[3].log)
        await all_idle(hops)


async def test_a_link_that_breaks_ends_what_goes_through_it():
    log = []
    async with chained() as hops, rt.TaskGroup() as tg:
        near = hops[0].next.cmd
        tg.start_soon(outcome, log, near, far("wait"))
        tg.start_soon(outcome, log, near, ["app", "wait"])
        await until(lambda: "started" in hops[3].log and "started" in hops[1].log)
        hops[1].next.cmd.s.parent.cut()
        await until(lambda: log and "waited" in hops[3].log)
        assert len(log) == 1
        assert isinstance(log[0], CallUnknownError)
        assert log[0].path == "next.next.app.wait"
        assert log[0].at == "next"
        tg.cancel()


async def test_a_caller_that_leaves_ends_it_at_the_far_end():
    async with chained() as hops, rt.TaskGroup() as tg:
        tg.start_soon(outcome, [], hops[0].next.cmd, far("wait"))
        await until(lambda: "started" in hops[3].log)
        hops[0].next.cmd.s.parent.cut()
        await until(lambda: "waited" in hops[3].log)
        await idle(*hops[2].links())
        await idle(*hops[3].links())
        tg.cancel()


async def test_the_way_back_can_be_used():
    async with chained() as hops:
        near = hops[0].next.cmd
        assert await near.call(["app", "here"]) == [["app", "here"], ["back"]]
        assert await near.call(far("here")) == [["app", "here"], ["back"]]
        res = await near.request(Call(), far("here"), options=options(trace=True))
        assert res == [["app", "here"], ["back", "back", "back"]]
        call = Call()
        res = await near.request(
            call, far("call_back"), (["app", "here"],), None, options(trace=True)
        )
        assert res == [["app", "here"], ["next"]]
        names = [name for name, us in call.trace]
        assert names == ["one", "two", "three"]
        times = [us for name, us in call.trace]
        assert times == sorted(times, reverse=True)
        assert min(times) >= 0
        await all_idle(hops)


async def test_a_message_that_does_not_fit_through_a_link_is_an_error():
    async with chained() as hops:
        near = hops[0].next.cmd
        hops[1].back.cmd.core.peer_limit = 1000  # what the first link takes
        with raises(MessageTooLongError):
            await near.call(far("bytes"), 2000)
        async with near.stream(far("count"), 3, size=2000) as st:
            with raises(MessageTooLongError):
                await st.recv()
        await until(lambda: "ended" in hops[3].log)
        assert await near.call(far("bytes"), 500) == bytes(500)
        await all_idle(hops)


async def test_a_notice_goes_through_links():
    async with chained() as hops:
        near = hops[0].next.cmd
        near.notify(far("bad"), "value")
        await until(lambda: "bad" in hops[3].log)
        await all_idle(hops)
