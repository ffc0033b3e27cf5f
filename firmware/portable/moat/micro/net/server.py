"""What a NetServer and a UnixServer have in common: clients, each in a task of its own."""

import errno

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import BusyError, InUseError, LinkLost
from moat.micro.net.link import why
from moat.micro.net.sock import report
from moat.micro.proto.stack import Base

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Awaitable, Callable
    from typing import Any

_PAUSE_MS = const(100)  # no descriptor or no memory is left: some client may go meanwhile


class Server(Base):
    """Serves clients while it is open; leaving or cancelling it closes all of them.

    Each client gets a task that runs ``await handler(link)``. `link` is the byte stream to the
    client: the handler enters it, or a stack on top of it, once. When the handler ends, the
    stream is closed.

    Args:
        handler: the async function.
        max_clients: so many are served at a time. One more waits for `wait_ms` milliseconds (the
            end of an old one may not have been noticed yet), and then is closed.
        on_error: called with a name and an exception: of a client whose handler has failed
            (EOFError is no failure, the client has hung up), or that was closed because there
            are too many (BusyError), or of the server when it cannot accept (OSError). By
            default the host logs that, and the device prints it. The server goes on.
    """

    name = ""
    wait_ms = 1000
    clients = 0  # that are being served

    def __init__(
        self,
        handler: "Callable[[Any], Awaitable[object]]",
        max_clients: int = 8,
        on_error: "Callable[[str, Exception], object]" = report,
    ) -> None:
        self._handler = handler
        self.max_clients = max_clients
        self._on_error = on_error

    @rt.asynccontextmanager
    async def _ctx(self):
        self._links = []
        self._left = rt.Event()  # a client has
        self.clients = 0
        listeners = await self._opened()
        try:
            async with rt.TaskGroup() as self._tasks:
                for listener in listeners:
                    self._tasks.start_soon(self._accept, listener)
                yield self
                self._tasks.cancel()
        finally:
            self._unname()
            for listener in listeners:
                listener.close()
            for link in self._links:  # of tasks that were cancelled before they began
                await link.aclose()

    async def _opened(self):
        try:
            return await self._listen()
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise InUseError("%s: somebody listens there already" % self.name)
            if exc.errno == errno.ENOENT:
                raise LinkLost("cannot listen on %s: there is no such folder" % self.name)
            raise LinkLost("cannot listen on %s: %s" % (self.name, why(exc)))

    async def _listen(self) -> "list[Any]":
        """Return the listeners, at least one. OSError: it cannot be done."""
        raise NotImplementedError

    def _unname(self) -> None:
        """Take back the name, before the listeners are closed."""

    async def _accept(self, listener):
        while True:
            try:
                link = await listener.accept()
            except OSError as exc:
                self._on_error(self.name, exc)
                await rt.sleep_ms(_PAUSE_MS)
                continue
            self._links.append(link)
            if await self._has_room():
                self.clients += 1
                self._tasks.start_soon(self._serve, link)
            else:
                await self._drop(link)
                exc = BusyError("%d clients are connected already" % self.clients)
                self._on_error(link.name, exc)

    async def _has_room(self):
        try:
            async with rt.timeout_ms(self.wait_ms):
                while self.clients >= self.max_clients:
                    self._left.clear()
                    await self._left.wait()
        except rt.TimeoutError:
            return False
        return True

    async def _serve(self, link):
        try:
            await self._handler(link)
        except EOFError:
            pass  # the client has hung up
        except Exception as exc:  # the root of a task: no client shall take down the others
            self._on_error(link.name, exc)
        finally:
            self.clients -= 1
            self._left.set()
            await self._drop(link)

    async def _drop(self, link):
        self._links.remove(link)
        await link.aclose()
