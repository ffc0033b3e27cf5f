"""UnixServer and NetServer: many clients, of which none harms the others."""

import os

from _helpers import forever, raises, settle
from _net import echo, has_clients, link_to, rd, rd_exactly, servers, until

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import BusyError, InUseError, LinkLost
from moat.micro.net.net import NetServer
from moat.micro.proto.msgpack import MsgpackMsgBuf


async def test_each_client_has_a_task_and_a_stream_of_its_own():
    async def number(link):
        async with link:
            data = await rd(link)
            order.append(data)
            await until(lambda: len(order) == 5)
            await link.wr(data + data)

    async def client(server, n):
        async with link_to(server) as link:
            await link.wr(b"%d" % n)
            assert await rd_exactly(link, 2) == b"%d%d" % (n, n)

    order = []
    for server in servers(number):
        async with server:
            async with rt.TaskGroup() as tasks:
                for n in range(5):
                    tasks.start_soon(client, server, n)
            await has_clients(server, 0)
        assert not server.errors
        order.clear()


async def test_a_stack_on_top_of_the_stream_serves_commands():
    class Adder(BaseCmd):
        async def cmd_add(self, a, b):
            return a + b

    async def serve(link):
        async with CmdMsg(MsgpackMsgBuf(link), Dispatch({"x": Adder()})) as cmd:
            await cmd.closed()

    for server in servers(serve):
        async with server:
            for _ in range(2):
                async with CmdMsg(MsgpackMsgBuf(link_to(server))) as cmd:
                    await cmd.ready()
                    assert await cmd.call(["x", "add"], 20, 3) == 23
            await has_clients(server, 0)
        assert not server.errors


async def test_an_error_in_a_handler_is_reported_and_harms_no_other_client():
    async def serve(link):
        async with link:
            while True:
                data = await rd(link)
                if data == b"fail":
                    raise ValueError("broken", 1)
                await link.wr(data)

    for server in servers(serve):
        async with server, link_to(server) as good:
            async with link_to(server) as bad:
                await bad.wr(b"fail")
                with raises(EOFError):
                    await rd(bad)
            await good.wr(b"hello")
            assert await rd(good) == b"hello"
            ((name, exc),) = server.errors
            assert isinstance(exc, ValueError)
            assert exc.args == ("broken", 1)
            if isinstance(server, NetServer):
                assert name.startswith(server.host if server.host != "::1" else "[::1]:")
            await has_clients(server, 1)


async def test_a_client_that_hangs_up_is_no_error():
    for server in servers(echo):
        async with server:
            async with link_to(server):
                pass
            async with link_to(server) as link:
                await has_clients(server, 1)
            await has_clients(server, 0)
        assert not server.errors
        assert link.s is None


async def test_a_handler_that_does_not_open_the_stream_hangs_up():
    async def nothing(link):
        pass

    for server in servers(nothing):
        async with server, link_to(server) as link:
            with raises(EOFError):
                await rd(link)


async def test_the_stream_of_a_client_can_be_entered_once():
    async def twice(link):
        async with link:
            with raises(InUseError):
                async with link:
                    raise AssertionError
        with raises(LinkLost) as info:
            async with link:
                raise AssertionError
        assert "cannot be opened again" in str(info.exc)
        done.append(True)

    done = []
    for server in servers(twice):
        async with server, link_to(server) as link:
            with raises(EOFError):
                await rd(link)
    assert len(done) == len(servers(twice))


async def test_one_client_too_many_waits_for_its_turn():
    for server in servers(echo, max_clients=2):
        async with server:
            server.wait_ms = 100000
            async with link_to(server) as one, link_to(server):
                await has_clients(server, 2)
                async with link_to(server) as third:
                    await third.wr(b"third")
                    await one.wr(b"one")
                    assert await rd(one) == b"one"
                    await settle()
                    assert server.clients == 2
                    await one.aclose()
                    assert await rd(third) == b"third"
        assert not server.errors


async def test_one_client_too_many_is_closed_in_the_end():
    for server in servers(echo, max_clients=1):
        server.wait_ms = 1
        async with server, link_to(server) as one:
            await has_clients(server, 1)
            async with link_to(server) as other:
                with raises(EOFError, LinkLost):
                    await rd(other)
            await one.wr(b"still here")
            assert await rd(one) == b"still here"
        ((_, exc),) = server.errors
        assert isinstance(exc, BusyError)
        assert str(exc) == "1 clients are connected already"


async def test_leaving_the_server_closes_all_clients():
    async def serve(link):
        async with link:
            await link.wr(b"x")
            await forever(log)

    log = []
    for server in servers(serve):
        async with server:
            links = [link_to(server) for _ in range(3)]
            for link in links:
                await link.__aenter__()
                assert await rd(link) == b"x"
        assert log == ["ended"] * 3
        for link in links:
            with raises(EOFError):
                await rd(link)
            await link.__aexit__(None, None, None)
            with raises(LinkLost):
                async with link:
                    raise AssertionError
        assert not server.errors
        log.clear()


async def test_cancelling_the_server_closes_all_clients():
    async def run(server):
        async with server:
            opened.set()
            await forever(log, "server")

    async def serve(link):
        async with link:
            await forever(log, "client")

    log = []
    for server in servers(serve):
        opened = rt.Event()
        async with rt.TaskGroup() as tasks:
            task = tasks.start_soon(run, server)
            await opened.wait()
            async with link_to(server) as link:
                await has_clients(server, 1)
                await settle()
                task.cancel()
                with raises(EOFError):
                    await rd(link)
        assert sorted(log) == ["client", "server"]
        log.clear()


async def test_an_error_in_the_body_comes_out_as_it_is():
    for server in servers(echo):
        with raises(KeyError):
            async with server:
                raise KeyError(1)
        async with server, link_to(server) as link:  # and it can be entered again
            await link.wr(b"x")
            assert await rd(link) == b"x"


async def test_entering_a_server_twice_is_an_error():
    for server in servers(echo):
        async with server:
            with raises(InUseError):
                async with server:
                    raise AssertionError


async def test_nothing_stays_open():
    async def fail(link):
        async with link:
            await rd(link)
            raise ValueError

    async def enter(server):
        async with server, link_to(server) as link:
            await link.wr(b"x")
            await forever()

    async def all_that():
        for server in servers(fail, max_clients=1):
            server.wait_ms = 1
            with raises(LinkLost, OSError):
                async with link_to(server):  # nobody listens there
                    raise AssertionError
            async with server, link_to(server), link_to(server) as link:
                await link.wr(b"x")
                with raises(InUseError):
                    async with type(server)(fail, *where(server)):
                        raise AssertionError
            for n in range(20):
                async with rt.TaskGroup() as tasks:
                    task = tasks.start_soon(enter, server)
                    for _ in range(n):
                        await rt.sleep_ms(0)
                    task.cancel()

    await all_that()
    before = len(os.listdir("/proc/self/fd"))
    await all_that()
    assert len(os.listdir("/proc/self/fd")) == before


def where(server):
    """Return the arguments that name the place where the server listens."""
    if isinstance(server, NetServer):
        return server.host, server.port
    return (server.path,)


async def test_accepting_goes_on_after_an_error():
    class Failing:
        def __init__(self, listener):
            self.listener = listener
            self.fails = 2
            self.close = listener.close

        async def accept(self):
            if self.fails:
                self.fails -= 1
                raise OSError(24, "no more files")
            return await self.listener.accept()

    class Server(NetServer):
        async def _listen(self):
            return [Failing(x) for x in await super()._listen()]

    errors = []
    server = Server(echo, on_error=lambda name, exc: errors.append((name, exc)))
    async with server, link_to(server) as link:
        await link.wr(b"x")
        assert await rd(link) == b"x"
    assert [(name, exc.errno) for name, exc in errors] == [(server.name, 24)] * 2
