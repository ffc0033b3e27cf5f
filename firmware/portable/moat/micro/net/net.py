"""NetLink and NetServer: byte streams over TCP."""

import errno

from moat.micro import rt
from moat.micro.const import const
from moat.micro.net.link import SockLink
from moat.micro.net.server import Server
from moat.micro.net.sock import addresses, connect, listen, report

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Awaitable, Callable
    from typing import Any


# Ports for any use, says RFC 6335; and how often to try one of them that may be taken.
_FIRST = const(49152)
_PORTS = const(16384)
_TRIES = const(20)


def _name(host, port):
    return ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)


class NetLink(SockLink):
    """Connects to a TCP server when it is entered; closes the connection when it is left.

    All addresses of the host are tried, IPv6 and IPv4. A device looks up a name that is no
    address with its event loop stopped, for as long as its name server takes.

    Entering raises LinkLost with the reason.

    Args:
        host: name or address.
        port: its number.
        timeout_ms: how long it may take to connect.
    """

    def __init__(self, host: str, port: int, timeout_ms: int = 10000) -> None:
        self.host = host
        self.port = port
        self.timeout_ms = timeout_ms
        self.name = _name(host, port)

    async def _connect(self) -> "Any":
        due = rt.ticks_add(rt.ticks_ms(), self.timeout_ms)
        todo = await addresses(self.host, self.port)
        error = OSError(errno.EHOSTUNREACH, "no address")
        while todo:  # each has its share of the time, and what those before it have left over
            share_ms = rt.ticks_diff(due, rt.ticks_ms()) // len(todo)
            try:
                async with rt.timeout_ms(max(0, share_ms)):
                    return await connect(todo.pop(0))
            except rt.TimeoutError:
                error = OSError(errno.ETIMEDOUT, "no answer")
            except OSError as exc:
                error = exc
        raise error


class NetServer(Server):
    """Serves TCP clients while it is open, see Server.

    Anybody who can reach the port can connect. So only this machine can, unless `host` says
    otherwise: an address or name of this machine is who can reach that, "0.0.0.0" everybody, "::"
    everybody with IPv6 (on Linux with IPv4, too).

    Entering raises InUseError: the port is taken; LinkLost: for any other reason.

    Args:
        handler: async function, called with the byte stream to a client.
        host: where to listen.
        port: its number; 0 for any that is free, `port` is that then.
        max_clients: so many are served at a time.
        on_error: called with a name and an exception, see Server.
    """

    def __init__(
        self,
        handler: "Callable[[Any], Awaitable[object]]",
        host: str = "127.0.0.1",
        port: int = 0,
        max_clients: int = 8,
        on_error: "Callable[[str, Exception], object]" = report,
    ) -> None:
        super().__init__(handler, max_clients, on_error)
        self.host = host
        self.port = self._port = port
        self.name = _name(host, port)

    async def _listen(self) -> "list[Any]":
        for n in range(_TRIES):
            # Not every system can be asked which free port it has found.
            self.port = self._port or _FIRST + rt.random_bits() % _PORTS
            self.name = _name(self.host, self.port)
            try:
                return _listen_all(await addresses(self.host, self.port))
            except OSError as exc:
                if self._port or n == _TRIES - 1 or exc.errno != errno.EADDRINUSE:
                    raise
        raise AssertionError


def _listen_all(addrs):
    listeners = []
    try:
        for addr in addrs:
            listeners.append(listen(addr))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners
