"""Sockets on CPython; the device has the same names on MicroPython.

An address is what `addresses` and `unix_address` return; nobody else looks into it.

They are not anyio's streams: those of TCP on asyncio read on without bound until somebody reads
for the first time, and a write to a named socket can be cancelled half-way.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from moat.micro.errors import LinkLost
from moat.micro.proto.fd import FdBuf

__all__ = [
    "Listener", "SingleSockBuf", "SockBuf", "addresses", "connect", "listen", "report",
    "unix_address",
]  # fmt: skip

_BACKLOG = 64
_RETRY_S = 0.02  # a named socket whose queue is full tells nobody when that has changed

_logger = logging.getLogger("moat.micro.net")

Address = tuple[int, Any]


class SockBuf(FdBuf):
    """A byte stream over a socket; its `_ctx` hands over that with `use`."""

    s: socket.socket | None = None
    name = ""

    def use(self, s: socket.socket) -> None:
        """Begin to use a connected, non-blocking socket."""
        self.s = s
        self._open(self.name, s.fileno(), s.fileno())

    async def aclose(self) -> None:
        """Close the socket; who reads or writes gets LinkLost. Does no harm twice."""
        if self.s is not None:
            self._close()
            self.s.close()
            self.s = None


class SingleSockBuf(SockBuf):
    """A byte stream over a connected socket, which can be entered once.

    Args:
        s: the socket.
        name: of the peer, for messages.
    """

    def __init__(self, s: socket.socket, name: str) -> None:
        self.name = name
        self.use(s)

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[SingleSockBuf]:
        if self.s is None:
            raise LinkLost(f"{self.name}: it is closed, and cannot be opened again")
        try:
            yield self
        finally:
            await self.aclose()


async def addresses(host: str, port: int) -> list[Address]:
    """Return all addresses of `host`, for `connect` and `listen`. LinkLost: there is none."""
    try:
        infos = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise LinkLost(f"there is no host '{host}': is the name right?") from None
    return list(dict.fromkeys((info[0], info[-1]) for info in infos))


def unix_address(path: str) -> Address:
    """Return the address of the named socket `path`."""
    return socket.AF_UNIX, path


async def connect(addr: Address) -> socket.socket:
    """Return a socket that is connected to `addr`. OSError: that has failed."""
    sock = socket.socket(addr[0])
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(addr[1])
            except BlockingIOError:
                if addr[0] != socket.AF_UNIX:
                    await _connected(sock)
                    break
                await anyio.sleep(_RETRY_S)
            else:
                break
        _tune(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def listen(addr: Address) -> Listener:
    """Return a Listener for `addr`. OSError: it cannot be done."""
    sock = socket.socket(addr[0])
    try:
        sock.setblocking(False)
        # Although connections of a server before us have not quite ended.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(addr[1])
        sock.listen(_BACKLOG)
        return Listener(sock)
    except BaseException:
        sock.close()
        raise


def report(name: str, exc: Exception) -> None:
    """Log an exception that ends nothing else."""
    _logger.error("%s: %s: %s", name, type(exc).__name__, exc, exc_info=exc)


class Listener:
    """Accepts the clients of one address."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def accept(self) -> SingleSockBuf:
        """Wait for a client, and return its SingleSockBuf. OSError: that has failed."""
        while True:
            await anyio.wait_readable(self._sock)
            try:
                sock, addr = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # the client has given up
            sock.setblocking(False)
            _tune(sock)
            return SingleSockBuf(sock, _client(addr))

    def close(self) -> None:
        """Stop listening."""
        self._sock.close()


async def _connected(sock: socket.socket) -> None:
    await anyio.wait_writable(sock)
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


def _tune(sock: socket.socket) -> None:
    """Send small messages at once, and find out in 90 s that the peer has lost its power."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _client(addr: Sequence[Any] | str | bytes) -> str:
    if isinstance(addr, str | bytes):
        return "a client"  # of a named socket, which has no name itself
    host, port = addr[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
