"""UnixLink and NetLink, with a server of their kind in the same process."""

from _helpers import raises, settle
from _net import echo, link_to, rd, rd_exactly, servers, socket_path

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.net.net import NetLink, NetServer
from moat.micro.net.unix import UnixLink


async def test_it_carries_any_byte_in_both_directions():
    data = bytes(range(256)) * 4
    for server in servers(echo):
        async with server, link_to(server) as link:
            for _ in range(3):
                await link.wr(memoryview(data))
                assert await rd_exactly(link, len(data)) == data


async def test_a_read_gives_what_is_there_and_the_rest_later():
    for server in servers(echo):
        async with server, link_to(server) as link:
            await link.wr(b"hello")
            assert await rd_exactly(link, 2) == b"he"
            assert await rd(link) == b"llo"


class Flood:
    """Writes one chunk after the other, far more than the system's buffers hold."""

    def __init__(self, link):
        self.link = link
        self.chunks = 0  # that were handed on
        self.ended = rt.Event()

    async def run(self):
        chunk = bytes(_CHUNK)
        try:
            while self.chunks < 300:
                await self.link.wr(chunk)
                self.chunks += 1
        finally:
            self.ended.set()

    async def stalled(self):
        """Wait until the other side has to read before this goes on."""
        n = -1
        while n != self.chunks:
            n = self.chunks
            await rt.sleep_ms(30)


_CHUNK = 100000


class Sink:
    """Serves one client: reads nothing before it is told to, then all to the end."""

    def __init__(self):
        self.go = rt.Event()
        self.size = 0
        self.tail = b""

    async def serve(self, link):
        buf = bytearray(50000)
        async with link:
            await self.go.wait()
            while self.tail != b"next":
                n = await link.rd(buf)
                self.size += n
                self.tail = bytes(buf[n - 4 : n]) if n >= 4 else self.tail[n - 4 :] + buf[:n]
            await link.wr(b"done")


async def test_more_than_fits_waits_until_it_is_read():
    for n in range(len(servers(None))):
        sink = Sink()
        server = servers(sink.serve)[n]
        async with server, link_to(server) as link, rt.TaskGroup() as tasks:
            flood = Flood(link)
            tasks.start_soon(flood.run)
            await flood.stalled()
            assert 0 < flood.chunks < 300
            sink.go.set()
            await flood.ended.wait()
            await link.wr(b"next")
            assert await rd(link) == b"done"
        assert sink.size == 300 * _CHUNK + 4


async def test_a_cancelled_write_leaves_no_part_behind():
    for n in range(len(servers(None))):
        sink = Sink()
        server = servers(sink.serve)[n]
        async with server, link_to(server) as link, rt.TaskGroup() as tasks:
            flood = Flood(link)
            task = tasks.start_soon(flood.run)
            await flood.stalled()
            task.cancel()
            sink.go.set()
            await flood.ended.wait()
            await link.wr(b"next")
            assert await rd(link) == b"done"
        assert sink.size in (flood.chunks * _CHUNK + 4, (flood.chunks + 1) * _CHUNK + 4)


async def test_the_end_of_one_side_is_the_end_for_the_other():
    async def leave(link):
        async with link:
            await link.wr(b"bye")

    for server in servers(leave):
        async with server, link_to(server) as link:
            assert await rd_exactly(link, 3) == b"bye"
            for _ in range(2):
                with raises(EOFError):
                    await rd(link)


async def test_writing_to_who_has_gone_is_an_error_in_the_end():
    async def leave(link):
        pass

    for server in servers(leave):
        async with server, link_to(server) as link:
            with raises(EOFError):
                await rd(link)
            with raises(LinkLost) as info:
                for _ in range(100):
                    await link.wr(bytes(10000))
                    await rt.sleep_ms(1)
            assert link.name in str(info.exc)


async def test_entered_again_it_is_a_new_connection():
    for server in servers(echo):
        async with server:
            link = link_to(server)
            for n in range(3):
                async with link as same:
                    assert same is link
                    await link.wr(b"%d" % n)
                    assert await rd(link) == b"%d" % n
                    with raises(InUseError):
                        async with link:
                            raise AssertionError


async def test_left_it_is_closed():
    for server in servers(echo):
        async with server:
            link = link_to(server)
            async with link:
                pass
            with raises(LinkLost) as info:
                await rd(link)
            assert str(info.exc) == link.name + ": it is closed"
            with raises(LinkLost):
                await link.wr(b"x")


async def test_closing_ends_a_read_that_waits():
    async def read(link):
        with raises(LinkLost) as info:
            await rd(link)
        found.append(str(info.exc))

    found = []
    for server in servers(echo):
        async with server, link_to(server) as link, rt.TaskGroup() as tasks:
            tasks.start_soon(read, link)
            await settle()
            await link.aclose()
        assert found.pop() == link.name + ": it is closed"


async def test_a_second_reader_is_refused_and_the_first_goes_on():
    async def read(link):
        found.append(await rd(link))

    found = []
    for server in servers(echo):
        async with server, link_to(server) as link, rt.TaskGroup() as tasks:
            tasks.start_soon(read, link)
            await settle()
            with raises(InUseError):
                await rd(link)
            await link.wr(b"hello")
        assert found.pop() == b"hello"


async def test_a_cancelled_read_loses_nothing():
    for server in servers(echo):
        async with server, link_to(server) as link:
            for n in range(10):
                with raises(rt.TimeoutError):
                    async with rt.timeout_ms(n % 3):
                        await rd(link)
            await link.wr(b"all of it")
            assert await rd_exactly(link, 9) == b"all of it"


# ---- connecting


async def test_where_nobody_listens_it_says_so():
    async with NetServer(echo) as server:
        link = link_to(server)
    for _ in range(2):  # and it can be tried again
        with raises(LinkLost) as info:
            async with link:
                raise AssertionError
        expected = "127.0.0.1:%d: nobody listens there: does the server run?" % server.port
        assert str(info.exc) == expected


async def test_a_named_socket_that_does_not_exist():
    path = socket_path()
    with raises(LinkLost) as info:
        async with UnixLink(path):
            raise AssertionError
    assert str(info.exc) == path + ": there is no such socket: does the server run?"


async def test_a_name_that_is_too_long_for_a_socket():
    with raises(LinkLost) as info:
        async with UnixLink("/tmp/" + "ä" * 60):
            raise AssertionError
    assert "at most 107 bytes, this has 125: use a shorter path" in str(info.exc)


async def test_a_host_that_does_not_exist():
    with raises(LinkLost) as info:
        async with NetLink("no-such-host.invalid", 1):
            raise AssertionError
    assert str(info.exc) == "there is no host 'no-such-host.invalid': is the name right?"


async def test_a_host_is_found_by_its_name():
    async with NetServer(echo, "localhost") as server, link_to(server) as link:
        assert link.host == "localhost"
        await link.wr(b"hi")
        assert await rd(link) == b"hi"


async def test_a_server_that_does_not_take_us_in_time():
    # Its queue of clients is full, and of these it takes one.
    async def wait(link):
        async with link:
            await rt.Event().wait()

    for server in servers(wait, max_clients=1):
        links = []
        async with server:
            server.wait_ms = 100000
            with raises(LinkLost) as info:
                while len(links) < 200:
                    link = link_to(server)
                    link.timeout_ms = 100
                    links.append(link)
                    await link.__aenter__()
            for link in links[:-1]:
                await link.__aexit__(None, None, None)
        assert str(info.exc) == link.name + ": no answer: is it on, and connected?"


async def test_cancelled_while_it_connects_it_can_be_tried_again():
    for server in servers(echo):
        async with server:
            link = link_to(server)
            async with rt.TaskGroup() as tasks:
                task = tasks.start_soon(link.__aenter__)
                task.cancel()
                await settle()
            if link.s is None:
                async with link:
                    await link.wr(b"x")
                    assert await rd(link) == b"x"
            else:
                await link.__aexit__(None, None, None)
