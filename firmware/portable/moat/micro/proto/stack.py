"""The base classes of all streams, and their contracts.

Three kinds, by what they carry:

    Buf   unstructured bytes      rd(buf) -> n     wr(buf)
    Blk   one message as bytes    rcv() -> bytes   snd(buf)
    Msg   one message as object   recv() -> obj    send(obj)

and console bytes beside any of them: crd(buf) -> n, cwr(buf).

Every stream is an async context manager around the next lower one, its `parent`; what that
one's context gave is `s`. A stream can be entered again after it was left.

For all of them:

* One task reads and one task writes at a time; a second reader gets InUseError.
* The peer's orderly end is EOFError, a broken link LinkLost. A link that was replaced below
  raises LinkReset once; what was under way is lost, the stream goes on.
* Cancelling a read loses nothing that has arrived. Cancelling a write never leaves a part of
  a message behind: it is finished ahead of the next one, or the link breaks.
"""

from moat.micro.const import const
from moat.micro.proto.base import Base, BaseBuf, Stacked, StackedMsg

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

__all__ = (
    "Base", "BaseBlk", "BaseBuf", "BaseMsg", "Stacked", "StackedBlk", "StackedBuf", "StackedMsg",
)  # fmt: skip


class BaseBlk(Base):
    """A stream of byte blocks at the bottom of a stack; override rcv, snd and _ctx."""

    async def rcv(self) -> "Any":
        """Wait for one block and return it."""
        raise NotImplementedError

    async def snd(self, buf: "Any") -> None:
        """Send `buf` as one block. MessageTooLongError: nothing was sent."""
        raise NotImplementedError


class BaseMsg(Base):
    """A stream of objects at the bottom of a stack; override recv, send and _ctx."""

    async def recv(self) -> "Any":
        """Wait for one message and return it."""
        raise NotImplementedError

    async def send(self, msg: "Any") -> None:
        """Send one message. MessageTooLongError: nothing was sent."""
        raise NotImplementedError


class StackedBuf(Stacked):
    """A byte stream on top of another; forwards everything unless overridden."""

    def rd(self, buf: "Any") -> "Any":
        """Forward to the layer below."""
        return self.s.rd(buf)

    def wr(self, buf: "Any") -> "Any":
        """Forward to the layer below."""
        return self.s.wr(buf)


class StackedBlk(Stacked):
    """A block stream on top of another; forwards everything unless overridden."""

    def rcv(self) -> "Any":
        """Forward to the layer below."""
        return self.s.rcv()

    def snd(self, buf: "Any") -> "Any":
        """Forward to the layer below."""
        return self.s.snd(buf)
