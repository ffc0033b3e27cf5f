"""MsgpackMsgBlk: an object as MessagePack in each block; see msgpack.py."""

import msgpack
from msgpack import packb, unpackb

from moat.micro.const import const
from moat.micro.errors import MessageTooLongError
from moat.micro.proto.base import StackedMsg
from moat.micro.proto.framed import NOTHING

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any


def _pack_into(buf, o):
    buf += packb(o)


#: Appends an encoded object to a bytearray. MicroPython copies, and hashes, what becomes bytes.
pack_into: "Callable[[bytearray, Any], object]" = getattr(msgpack, "pack_into", _pack_into)


def decode(data: "Any") -> "Any":
    """Return the message, or NOTHING: bad text, a bad key, too deep, not just one object."""
    try:
        return unpackb(data, strict_map_key=False)
    except (ValueError, TypeError):
        return NOTHING


class MsgpackMsgBlk(StackedMsg):
    """Translates structured messages to MessagePack, one in each block of `parent`.

    Console data are the parent's business. A block that is not exactly one message, or exceeds
    `limit`, is skipped and counted in `errors`.

    Args:
        parent: the block stream below.
        limit: bytes of the longest message, both ways; what the parent takes, if that is less.
    """

    def __init__(self, parent: "Any", limit: int = 4096) -> None:
        super().__init__(parent)
        self.errors = 0  # blocks that were skipped since this object was made
        self._limit = limit if self.limit is None else min(limit, self.limit)
        self.limit = self.send_limit = self._limit

    async def recv(self) -> "Any":
        """Wait for the next message and return it. Errors are those of the parent's `rcv`."""
        while True:
            data = await self.s.rcv()
            if len(data) <= self._limit:
                msg = decode(data)
                if msg is not NOTHING:
                    return msg
            self.errors += 1

    def send(self, msg: "Any") -> "Any":
        """Send one object.

        TypeError: MessagePack cannot express it; MessageTooLongError: it exceeds `limit`, or what
        the parent takes. Nothing was sent then.
        """
        data = packb(msg)
        if len(data) > self._limit:
            raise MessageTooLongError("%d bytes, at most %d" % (len(data), self._limit))
        return self.s.snd(data)
