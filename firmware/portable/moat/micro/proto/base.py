"""The base classes of streams that every device needs; see stack.py for their contracts."""

import moat.micro.errors as errors
from moat.micro import rt
from moat.micro.const import const
from moat.micro.errors import InUseError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class Base:
    """An async context manager; subclasses override `_ctx`."""

    #: Bytes of the longest message or block that is accepted, and of the longest one that can be
    #: sent. None: there is no limit, or it is not known.
    limit: "int | None" = None
    send_limit: "int | None" = None

    parent: "Any" = None
    s: "Any" = None
    _cm: "Any" = None

    async def __aenter__(self) -> "Any":
        """Open the stream. InUseError: it is open already."""
        if self._cm is not None:
            raise InUseError("%s is open already" % type(self).__name__)
        self._cm = cm = self._ctx()
        try:
            return await cm.__aenter__()
        except BaseException:
            self._cm = None
            raise

    async def __aexit__(self, et: "Any", exc: "Any", tb: "Any") -> "bool | None":
        """Close the stream; tasks and lower layers that it opened are gone afterwards."""
        try:
            return await self._cm.__aexit__(et, exc, tb)
        finally:
            self._cm = None

    @rt.asynccontextmanager
    async def _ctx(self):
        yield self

    async def crd(self, buf: "Any") -> int:
        """Read console bytes into `buf`; returns their number, at least 1.

        They are split off while another task reads messages: somebody has to do that.
        EOFError: the link has ended. NoConsoleError: this stream carries no console.
        """
        raise errors.NoConsoleError("%s has no console beside it" % type(self).__name__)

    async def cwr(self, buf: "Any") -> None:
        """Write `buf` as console bytes, never into the middle of a message."""
        raise errors.NoConsoleError("%s has no console beside it" % type(self).__name__)

    async def flush(self) -> None:
        """Wait until the peer has what was sent, where that can be known; else return at once.

        LinkLost, LinkReset: it may not have all of it, see LinkError.fate.
        """


class BaseBuf(Base):
    """A byte stream at the bottom of a stack; override rd, wr and _ctx."""

    async def rd(self, buf: "Any") -> int:
        """Wait for data, put what is there into `buf`; returns its length, at least 1.

        EOFError: nothing more will arrive.
        """
        raise NotImplementedError

    async def wr(self, buf: "Any") -> None:
        """Write all of `buf`; returns when it is handed on, and `buf` may be reused."""
        raise NotImplementedError


class Stacked(Base):
    """A stream on top of another, `parent`; forwards console data."""

    def __init__(self, parent: "Any") -> None:
        self.parent = parent
        limit = getattr(parent, "limit", None)
        if limit is not None:
            self.limit = limit
            self.send_limit = parent.send_limit

    @rt.asynccontextmanager
    async def _ctx(self):
        async with self.parent as self.s:
            yield self

    # Plain functions that hand on the lower layer's awaitable: no coroutine of their own.

    def crd(self, buf: "Any") -> "Any":
        """Forward to the layer below."""
        return self.s.crd(buf)

    def cwr(self, buf: "Any") -> "Any":
        """Forward to the layer below."""
        return self.s.cwr(buf)

    def flush(self) -> "Any":
        """Forward to the layer below."""
        return self.s.flush()


class StackedMsg(Stacked):
    """A message stream on top of another; forwards everything unless overridden."""

    def recv(self) -> "Any":
        """Forward to the layer below."""
        return self.s.recv()

    def send(self, msg: "Any") -> "Any":
        """Forward to the layer below."""
        return self.s.send(msg)
