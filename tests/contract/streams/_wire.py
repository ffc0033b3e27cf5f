"""Sockets that are connected, with small buffers, on both sides."""

import socket

from _pair import ON_DEVICE

from moat.micro import rt
from moat.micro.net.sock import listen, unix_address
from moat.micro.proto.stack import StackedBuf

# What they hold for a reader; a unit that does not fit in.
SMALL = {"holds": 200_000, "huge": 60_000, "steps": 12}
_SO_SNDBUF, _SO_RCVBUF = (7, 8) if ON_DEVICE else (socket.SO_SNDBUF, socket.SO_RCVBUF)
_PENDING_MS = 5  # clients that have connected before are there by then


def small(sock, size=4096):
    """Have the kernel hold little for a reader; return `sock`."""
    for option in (_SO_SNDBUF, _SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, size)
    return sock


def socket_path():
    """Return the name of a socket that nobody has."""
    return "/tmp/moat-test-%08x" % rt.random_bits()


class Wire:
    """Two sockets that are connected, new ones when both have been left."""

    def __init__(self):
        self.ends = [None, None]

    def take(self, i):
        """Return one end; the caller closes it."""
        if self.ends[i] is None:
            self.close()
            self.ends = _connected()
        end, self.ends[i] = self.ends[i], None
        return end

    def close(self):
        """Close what was not taken."""
        for end in self.ends:
            if end is not None:
                end.close()


def _connected():
    if ON_DEVICE:
        import os

        _, address = unix_address(socket_path())
        server, a = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        server.bind(address)
        server.listen(1)
        a.connect(address)
        b, _ = server.accept()
        server.close()
        os.remove(address[2:-1].decode())
    else:
        a, b = socket.socketpair()
    for end in a, b:
        end.setblocking(False)
    return [small(a), small(b)]


class Accepts(StackedBuf):
    """The server's end of a link: waits for a client when it is entered."""

    def __init__(self, address, size=4096):
        self._listener = listen(address)
        self._size = size

    @rt.asynccontextmanager
    async def _ctx(self):
        self.parent = await self._latest()
        async with self.parent as self.s:
            small(self.s.s.s if ON_DEVICE else self.s.s, self._size)
            yield self

    async def _latest(self):
        """Return the last client: those before it have been cancelled."""
        link = await self._listener.accept()
        while True:
            try:
                async with rt.timeout_ms(_PENDING_MS):
                    newer = await self._listener.accept()
            except rt.TimeoutError:
                return link
            await link.aclose()
            link = newer

    def close(self):
        """Stop listening."""
        self._listener.close()
