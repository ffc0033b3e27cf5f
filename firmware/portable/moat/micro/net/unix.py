"""UnixLink and UnixServer: byte streams over a named socket of this machine."""

import errno
import os

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import InUseError, LinkLost
from moat.micro.net.link import SockLink
from moat.micro.net.server import Server
from moat.micro.net.sock import SingleSockBuf, connect, listen, report, unix_address

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Awaitable, Callable
    from typing import Any

_MAX_PATH = const(107)  # bytes; sizeof(sockaddr_un.sun_path) less the zero at its end
_PROBE_MS = const(1000)
_S_IFMT = const(0o170000)
_S_IFSOCK = const(0o140000)


def _address(path):
    size = len(path.encode())
    if size > _MAX_PATH:
        raise LinkLost(
            "%s: the name of a socket has at most %d bytes, this has %d: use a shorter path"
            % (path, _MAX_PATH, size)
        )
    return unix_address(path)


class UnixLink(SockLink):
    """Connects to a named socket when it is entered; closes the connection when it is left.

    Entering raises LinkLost with the reason.

    Args:
        path: its name.
        timeout_ms: how long it may take to connect.
    """

    def __init__(self, path: str, timeout_ms: int = 10000) -> None:
        self.path = self.name = path
        self.timeout_ms = timeout_ms

    async def _connect(self) -> "Any":
        return await connect(_address(self.path))


class UnixServer(Server):
    """Serves clients of a named socket while it is open, see Server.

    Who may connect is up to the permissions of the socket (by umask) and of its folder. One
    that a dead server has left behind is replaced. It is removed at the end.

    Entering raises InUseError: somebody listens there; LinkLost: for any other reason.

    Args:
        handler: async function, called with the byte stream to a client.
        path: the name of the socket.
        max_clients: so many are served at a time.
        on_error: called with a name and an exception, see Server.
    """

    _file = None  # what identifies the socket that we have made

    def __init__(
        self,
        handler: "Callable[[Any], Awaitable[object]]",
        path: str,
        max_clients: int = 8,
        on_error: "Callable[[str, Exception], object]" = report,
    ) -> None:
        super().__init__(handler, max_clients, on_error)
        self.path = self.name = path

    async def _listen(self) -> "list[Any]":
        addr = _address(self.path)
        try:
            listener = listen(addr)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            await self._remove_stale(addr)
            listener = listen(addr)
        self._file = os.stat(self.path)[1:3]
        return [listener]

    async def _remove_stale(self, addr):
        if os.stat(self.path)[0] & _S_IFMT != _S_IFSOCK:
            raise InUseError("%s: there is a file of that name, and it is no socket" % self.path)
        if await self._is_served(addr):
            raise InUseError("%s: somebody listens there already" % self.path)
        os.remove(self.path)

    async def _is_served(self, addr):
        try:
            async with rt.timeout_ms(_PROBE_MS):
                s = await connect(addr)
        except rt.TimeoutError:
            return True  # its queue of clients is full
        except OSError as exc:
            if exc.errno != errno.ECONNREFUSED:
                raise
            return False
        await SingleSockBuf(s, self.path).aclose()
        return True

    def _unname(self) -> None:
        try:
            if os.stat(self.path)[1:3] == self._file:  # and not somebody else's by now
                os.remove(self.path)
        except OSError:
            pass  # somebody has removed it
