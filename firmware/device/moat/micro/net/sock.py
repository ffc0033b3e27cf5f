"""Sockets on MicroPython; the host has the same names on anyio.

An address is what `addresses` and `unix_address` return; nobody else looks into it.
"""

import errno
import sys
from asyncio import StreamReader, core

from moat.micro import rt
from moat.micro.errors import LinkLost
from moat.micro.proto.stream import AIOBuf, SingleAIOBuf

try:
    import socket
except ImportError:
    raise ImportError("no sockets: the firmware of this board was built without a network")

__all__ = (
    "Listener", "SingleSockBuf", "SockBuf", "addresses", "connect", "listen", "report",
    "unix_address",
)  # fmt: skip

_BACKLOG = 5
_RETRY_MS = 20  # a named socket whose queue is full tells nobody when that has changed


class SockBuf(AIOBuf):
    """A byte stream over a socket; its `_ctx` hands over that with `use`."""

    def use(self, s):
        """Begin to use a connected socket."""
        self.s = StreamReader(s)


class SingleSockBuf(SingleAIOBuf):
    """A byte stream over a connected socket, which can be entered once.

    Args:
        s: the socket.
        name: of the peer, for messages.
    """

    def __init__(self, s, name):
        super().__init__(StreamReader(s), name)


async def addresses(host, port):
    """Return all addresses of `host`, for `connect` and `listen`. LinkLost: there is none."""
    try:
        infos = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError:
        raise LinkLost("there is no host '%s': is the name right?" % host)
    addrs = []
    for info in infos:
        addr = info[0], info[-1]
        if addr not in addrs:
            addrs.append(addr)
    return addrs


def unix_address(path):
    """Return the address of the named socket `path`. LinkLost: there is no such thing here."""
    if not hasattr(socket, "AF_UNIX"):
        raise LinkLost("%s: this board has no named sockets, use TCP" % path)
    from struct import pack

    return socket.AF_UNIX, pack("H", socket.AF_UNIX) + path.encode() + b"\0"


async def connect(addr):
    """Return a socket that is connected to `addr`. OSError: that has failed."""
    s = socket.socket(addr[0], socket.SOCK_STREAM)
    try:
        s.setblocking(False)
        while True:
            try:
                s.connect(addr[1])
                break
            except OSError as exc:
                if exc.errno == errno.EAGAIN:
                    await rt.sleep_ms(_RETRY_MS)
                    continue
                if exc.errno != errno.EINPROGRESS:
                    raise
            yield core._io_queue.queue_write(s)
            _check(s)
            break
        _tune(s)
        return s
    except BaseException:
        s.close()
        raise


def listen(addr):
    """Return a Listener for `addr`. OSError: it cannot be done."""
    s = socket.socket(addr[0], socket.SOCK_STREAM)
    try:
        s.setblocking(False)
        # Although connections of a server before us have not quite ended.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(addr[1])
        s.listen(_BACKLOG)
        return Listener(s)
    except BaseException:
        s.close()
        raise


def report(name, exc):
    """Print and log an exception that ends nothing else."""
    from moat.micro.log import failed

    failed(name, exc)


class Listener:
    """Accepts the clients of one address."""

    def __init__(self, s):
        self._s = s

    async def accept(self):
        """Wait for a client, and return its SingleSockBuf. OSError: that has failed."""
        while True:
            yield core._io_queue.queue_read(self._s)
            try:
                s, addr = self._s.accept()
            except OSError as exc:
                if exc.errno in (errno.EAGAIN, errno.ECONNABORTED):
                    continue  # the client has given up
                raise
            s.setblocking(False)
            _tune(s)
            return SingleSockBuf(s, _client(addr))

    def close(self):
        """Stop listening."""
        self._s.close()


def _check(s):
    """Raise the OSError with which connecting has failed; there is no SO_ERROR to ask for.

    The ESP32 does not tell: there it is the first read that fails.
    """
    try:
        s.send(b"")
    except OSError as exc:
        if exc.errno != errno.EAGAIN:
            raise


def _tune(s):
    """Send small messages at once; a process finds out in 90 s that the peer has lost its power.

    No port has the names. IPPROTO_TCP: TCP_NODELAY; on Linux SO_KEEPALIVE, TCP_KEEPIDLE,
    TCP_KEEPINTVL, TCP_KEEPCNT. Boards do not pass these on.
    """
    try:
        s.setsockopt(6, 1, 1)
        if sys.platform == "linux":
            s.setsockopt(socket.SOL_SOCKET, 9, 1)
            for option, value in ((4, 60), (5, 10), (6, 3)):
                s.setsockopt(6, option, value)
    except OSError:
        pass  # no TCP, or not known


def _client(addr):
    if isinstance(addr, tuple):  # of a board
        return "%s:%d" % addr[:2]
    family, host = socket.sockaddr(addr)[:2]
    if family not in (socket.AF_INET, socket.AF_INET6):
        return "a client"
    form = "%s:%d" if family == socket.AF_INET else "[%s]:%d"
    return form % (socket.inet_ntop(family, host), socket.sockaddr(addr)[2])
