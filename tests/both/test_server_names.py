"""Where UnixServer and NetServer listen: ports, and the names of sockets."""

import os

from _helpers import raises
from _net import echo, exists, has_clients, link_to, rd, read_file, socket_path, write_file

from moat.micro.errors import InUseError, LinkLost
from moat.micro.net.net import NetServer
from moat.micro.net.unix import UnixLink, UnixServer


async def test_port_0_is_a_free_one_which_can_be_asked_for():
    async with NetServer(echo) as one, NetServer(echo) as two:
        assert one.port != two.port
        assert one.port >= 49152
        assert one.host == "127.0.0.1"
        assert one.name == "127.0.0.1:%d" % one.port


async def test_a_port_that_is_taken():
    async with NetServer(echo) as server:
        with raises(InUseError) as info:
            async with NetServer(echo, port=server.port):
                raise AssertionError
        assert str(info.exc) == server.name + ": somebody listens there already"


async def test_a_port_can_be_used_again_at_once():
    async def leave(link):
        pass

    async with NetServer(leave) as server, link_to(server) as link:
        with raises(EOFError):
            await rd(link)
    async with NetServer(echo, port=server.port) as again, link_to(again) as link:
        await link.wr(b"x")
        assert await rd(link) == b"x"


async def test_listening_where_this_machine_is_not():
    with raises(LinkLost) as info:
        async with NetServer(echo, "192.0.2.1", 4000):
            raise AssertionError
    assert str(info.exc).startswith("cannot listen on 192.0.2.1:4000: ")


async def test_a_socket_is_removed_at_the_end():
    path = socket_path()
    async with UnixServer(echo, path):
        assert exists(path)
    assert not exists(path)
    with raises(KeyError):
        async with UnixServer(echo, path):
            raise KeyError
    assert not exists(path)


async def test_a_socket_that_somebody_else_has_replaced_stays():
    path = socket_path()
    async with UnixServer(echo, path):
        os.remove(path)
        write_file(path, "")
    assert exists(path)
    os.remove(path)


async def test_a_socket_that_was_left_behind_is_replaced():
    path = socket_path()
    async with UnixServer(echo, path):
        os.rename(path, path + "x")
    os.rename(path + "x", path)  # as if the server had been killed
    async with UnixServer(echo, path), UnixLink(path) as link:
        await link.wr(b"x")
        assert await rd(link) == b"x"
    assert not exists(path)


async def test_a_socket_where_somebody_listens_is_left_alone():
    path = socket_path()
    async with UnixServer(echo, path) as server:
        with raises(InUseError) as info:
            async with UnixServer(echo, path):
                raise AssertionError
        assert str(info.exc) == path + ": somebody listens there already"
        async with UnixLink(path) as link:
            await link.wr(b"x")
            assert await rd(link) == b"x"
        await has_clients(server, 0)


async def test_a_file_that_is_no_socket_is_left_alone():
    path = socket_path()
    write_file(path, "precious")
    with raises(InUseError) as info:
        async with UnixServer(echo, path):
            raise AssertionError
    assert "it is no socket" in str(info.exc)
    assert read_file(path) == "precious"
    os.remove(path)


async def test_a_folder_that_does_not_exist():
    with raises(LinkLost) as info:
        async with UnixServer(echo, "/tmp/no/such/x"):
            raise AssertionError
    assert str(info.exc) == "cannot listen on /tmp/no/such/x: there is no such folder"
