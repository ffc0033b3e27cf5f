"""Ptys for TCP ports.

    python3 pty.py LINK=PORT…

LINK becomes a symbolic link to a pty. Whoever opens it is connected to the port, from then until
it is closed: the port sees the same as with a TCP client. When the port closes, the pty hangs up.
A link is there from a line "+N" on standard input (N counts the links from 0) to a line "-N", as a
USB port is. It ends when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
import tty
from pathlib import Path

_POLL = 0.02
_SIZE = 65536


class Pty:
    """A pty in raw mode with a link to its slave; nobody has it open."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master, slave = os.openpty()
        tty.setraw(slave)
        target = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        new = link.with_name(f".{link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)

    @property
    def is_open(self) -> bool:
        """Whether somebody has the slave open."""
        poll = select.poll()
        poll.register(self.master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def close(self) -> None:
        """Hang up."""
        self.link.unlink(missing_ok=True)
        os.close(self.master)


async def _ready(fd: int, write: bool = False) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    add, remove = (
        (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    )
    add(fd, wake)
    try:
        await done
    finally:
        remove(fd)


async def _to_port(pty: Pty, connection: socket.socket) -> None:
    """Until the slave is closed, which reads as EIO."""
    loop = asyncio.get_running_loop()
    while True:
        await _ready(pty.master)
        with contextlib.suppress(BlockingIOError):
            await loop.sock_sendall(connection, os.read(pty.master, _SIZE))


async def _from_port(pty: Pty, connection: socket.socket) -> None:
    """Until the port is closed."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(connection, _SIZE):
        view = memoryview(data)
        while view:
            await _ready(pty.master, write=True)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(pty.master, view) :]


async def _relay(pty: Pty, connection: socket.socket) -> bool:
    """Between pty and port; True when it was the port that closed."""
    out = asyncio.ensure_future(_to_port(pty, connection))
    back = asyncio.ensure_future(_from_port(pty, connection))
    await asyncio.wait((out, back), return_when=asyncio.FIRST_COMPLETED)
    by_port = not out.done() or isinstance(out.exception(), ConnectionError)
    for task in (out, back):
        task.cancel()
    await asyncio.gather(out, back, return_exceptions=True)
    return by_port


async def _connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    except BaseException:
        connection.close()
        raise
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


async def _serve(link: Path, port: int) -> None:
    """One pty after the other: a new one when the port has closed the last."""
    while True:
        pty = Pty(link)
        try:
            await _sessions(pty, port)
        finally:
            pty.close()


async def _sessions(pty: Pty, port: int) -> None:
    while True:
        while not pty.is_open:  # noqa: ASYNC110 - nothing tells when a pty is opened
            await asyncio.sleep(_POLL)
        try:
            with await _connect(port) as connection:
                if await _relay(pty, connection):
                    return
        except OSError:
            return


async def _main(pairs: list[str]) -> None:
    links = [(Path(link), int(port)) for link, port in (pair.rsplit("=", 1) for pair in pairs)]
    running: dict[int, asyncio.Future[None]] = {}
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        number = int(line[1:])
        if task := running.pop(number, None):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if line[:1] == b"+":
            running[number] = asyncio.ensure_future(_serve(*links[number]))
    for task in running.values():
        task.cancel()
    await asyncio.gather(*running.values(), return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
