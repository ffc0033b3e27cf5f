"""What a NetLink and a UnixLink have in common: a byte stream that connects when it is entered."""

import errno

from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import LinkLost
from moat.micro.net.sock import SockBuf

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# The same words on both sides, and what to do about it.
_NO_ANSWER = "no answer: is it on, and connected?"
_WHY = {
    errno.EACCES: "permission denied",
    errno.ECONNREFUSED: "nobody listens there: does the server run?",
    errno.EHOSTUNREACH: "the host cannot be reached: is it on, and connected?",
    errno.ENOENT: "there is no such socket: does the server run?",
    errno.ETIMEDOUT: _NO_ANSWER,
}


def why(exc: OSError) -> str:
    """Return in words why connecting or listening has failed."""
    return _WHY.get(exc.errno or 0) or getattr(exc, "strerror", None) or str(exc)


class SockLink(SockBuf):
    """A byte stream over a socket; subclasses have `name`, for messages, and `_connect`."""

    timeout_ms = 10000

    @rt.asynccontextmanager
    async def _ctx(self):
        await self._connected()
        try:
            yield self
        finally:
            await self.aclose()

    async def _connected(self):
        try:
            async with rt.timeout_ms(self.timeout_ms):
                await self._try()
        except rt.TimeoutError:
            raise LinkLost("%s: %s" % (self.name, _NO_ANSWER))

    async def _try(self):
        try:
            self.use(await self._connect())
        except OSError as exc:
            raise LinkLost("%s: %s" % (self.name, why(exc)))

    async def _connect(self) -> "Any":
        """Return the socket, connected. OSError: that has failed."""
        raise NotImplementedError
