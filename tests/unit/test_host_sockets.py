"""What sockets do on the host only. On asyncio and on trio."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import anyio
import pytest

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.net import sock
from moat.micro.net.net import NetLink, NetServer
from moat.micro.net.process import ProcessLink
from moat.micro.net.unix import UnixServer
from tests.unit.streams import rd

IPV6 = Path("/proc/net/if_inet6").exists()
needs_ipv6 = pytest.mark.skipif(not IPV6, reason="this machine has no IPv6")


async def fail(link):
    raise ValueError("broken", 1)


async def test_errors_in_a_handler_are_logged(caplog):
    async with NetServer(fail) as server, NetLink("127.0.0.1", server.port) as link:
        with pytest.raises(EOFError):
            await rd(link)
    (record,) = caplog.records
    assert record.name == "moat.micro.net"
    assert record.levelno == logging.ERROR
    assert record.getMessage().endswith(": ValueError: ('broken', 1)")
    assert record.getMessage().startswith("127.0.0.1:")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


async def test_without_an_address_only_this_machine_can_connect():
    seen = []

    async def serve(link):
        seen.append(link.s.getsockname()[0])

    async with NetServer(serve) as server, NetLink("localhost", server.port) as link:
        with pytest.raises(EOFError):
            await rd(link)
    assert seen == ["127.0.0.1"]


@needs_ipv6
async def test_everybody_can_connect_where_that_is_said():
    seen = []

    async def serve(link):
        seen.append(link.s.getsockname()[0])

    for host, here in (("0.0.0.0", "127.0.0.1"), ("::", "::1")):
        async with NetServer(serve, host) as server, NetLink(here, server.port) as link:
            with pytest.raises(EOFError):
                await rd(link)
    assert seen == ["127.0.0.1", "::1"]


async def test_small_messages_are_sent_at_once():
    found = []

    def no_delay(link):
        assert link.s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return link.s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    async def serve(link):
        found.append(no_delay(link))

    async with NetServer(serve) as server, NetLink("127.0.0.1", server.port) as link:
        found.append(no_delay(link))
        with pytest.raises(EOFError):
            await rd(link)
    assert all(found)
    assert len(found) == 2


async def test_a_client_that_resets_the_connection_is_reported():
    async def serve(link):
        async with link:
            await rd(link)

    errors = []
    async with NetServer(serve, on_error=lambda *args: errors.append(args)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with anyio.fail_after(5):
            while not errors:  # noqa: ASYNC110 -- the system has to do something for it
                await anyio.sleep(0.001)
    ((name, exc),) = errors
    assert isinstance(exc, LinkLost)
    assert str(exc) == f"{name}: Connection reset by peer"


async def test_a_name_that_cannot_be_one():
    for host in ("x" * 70, "a..b", ""):
        with pytest.raises(LinkLost):
            async with NetLink(host, 1):
                pass


@needs_ipv6
async def test_all_addresses_of_a_name_are_listened_on(monkeypatch):
    async def addresses(host, port):
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]

    async def serve(link):
        async with link:
            await link.wr(b"hello")

    monkeypatch.setattr("moat.micro.net.net.addresses", addresses)
    async with NetServer(serve, "somewhere") as server:
        monkeypatch.setattr("moat.micro.net.net.addresses", sock.addresses)
        for host in ("127.0.0.1", "::1"):
            async with NetLink(host, server.port) as link:
                assert await rd(link) == b"hello"


async def test_a_free_port_is_looked_for_until_one_is_found(monkeypatch):
    async with NetServer(fail) as taken:
        bits = [taken.port - 49152, taken.port - 49152, taken.port - 49151]
        monkeypatch.setattr(rt, "random_bits", lambda: bits.pop(0))
        async with NetServer(fail) as server:
            assert server.port == taken.port + 1
    assert not bits


async def test_a_free_port_is_not_looked_for_for_ever(monkeypatch):
    async with NetServer(fail) as taken:
        monkeypatch.setattr(rt, "random_bits", lambda: taken.port - 49152)
        with pytest.raises(InUseError):
            async with NetServer(fail):
                pass


async def test_a_permission_that_is_missing(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir(mode=0o500)
    server = UnixServer(fail, str(folder / "sock"))

    def bind(_addr):
        raise PermissionError(13, "Permission denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moat.micro.net.unix.listen", bind)
        with pytest.raises(LinkLost, match=r"cannot listen on .*/sock: permission denied"):
            async with server:
                pass


async def test_leaving_a_process_ends_a_read_that_waits():
    found = []

    async def read():
        with pytest.raises(LinkLost, match="cat: it is closed"):
            await rd(link)
        found.append(True)

    link = ProcessLink(["cat"])
    async with rt.TaskGroup() as tasks, link:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
    assert found
    with pytest.raises(LinkLost, match="cat: it is closed"):
        await rd(link)
    with pytest.raises(LinkLost, match="cat: it is closed"):
        await link.wr(b"x")
