"""Servers and links of each kind, for tests of both."""

import os

from moat.micro import rt
from moat.micro.net.net import NetLink, NetServer
from moat.micro.net.unix import UnixLink, UnixServer


def socket_path():
    """Return the name of a socket that nobody has."""
    return "/tmp/moat-test-%08x" % rt.random_bits()


def exists(path):
    """Is there a file of this name?"""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def write_file(path, text):
    """Make a file."""
    with open(path, "w") as file:
        file.write(text)


def read_file(path):
    """Return the text of a file."""
    with open(path) as file:
        return file.read()


async def until(condition):
    """Wait until `condition()` is true, which the system has to do something for."""
    while not condition():
        await rt.sleep_ms(1)


async def has_clients(server, n):
    """Wait until the server has `n` clients."""
    await until(lambda: server.clients == n)


def servers(handler, **kw):
    """Return a server of each kind; the errors that one of them meets are in its `errors`."""
    res = []
    kinds = [(UnixServer, socket_path()), (NetServer, "127.0.0.1")]
    if exists("/proc/net/if_inet6"):  # not every container has IPv6
        kinds.append((NetServer, "::1"))
    for cls, where in kinds:
        errors = []

        def note(name, exc, errors=errors):
            errors.append((name, exc))

        server = cls(handler, where, on_error=note, **kw)
        server.errors = errors
        res.append(server)
    return res


def link_to(server):
    """Return a link to an open server."""
    if isinstance(server, NetServer):
        return NetLink(server.host, server.port)
    return UnixLink(server.path)


async def rd(link, n=100):
    """Read once; return the bytes."""
    buf = bytearray(n)
    return bytes(buf[: await link.rd(buf)])


async def rd_exactly(link, n):
    """Read `n` bytes."""
    data = b""
    while len(data) < n:
        data += await rd(link, n - len(data))
    return data


async def echo(link):
    """Send back what arrives, until the client hangs up."""
    async with link:
        while True:
            await link.wr(await rd(link))
