"""Objects as MessagePack: over a byte stream, beside console text, or one in each block."""

from moat.micro.const import const
from moat.micro.proto._msgpack import PREFIX, Decoder
from moat.micro.proto.framed import NOTHING, Framed
from moat.micro.proto.msgpack_blk import MsgpackMsgBlk, decode, pack_into

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ("MsgpackMsgBlk", "MsgpackMsgBuf")


class MsgpackMsgBuf(Framed):
    """Translates structured messages to MessagePack on the byte stream `parent`.

    What is no message is console text: it can be read with `crd` while some task is in `recv`,
    and `cwr` sends it, never into the middle of a message. Several tasks may send.

    What is not MessagePack, or exceeds `limit`, is skipped and counted in `errors`.

    Args:
        parent: the byte stream below.
        limit: bytes of the longest message that is accepted.
        prefix: the byte in front of each message, None to have none (and no console).
        gap_ms: silence inside of a message after which it is given up.
        chunk: bytes that are read at once.
        console: bytes of console text that are kept for `crd`; the oldest are dropped.
        ctrl_c: called when the byte 0x03 arrives outside of messages; may raise.
    """

    def __init__(
        self,
        parent: "Any",
        limit: int = 4096,
        prefix: "int | None" = PREFIX,
        gap_ms: int = 100,
        chunk: int = 256,
        console: int = 1024,
        ctrl_c: "Callable[[], object] | None" = None,
    ) -> None:
        super().__init__(
            parent, Decoder(limit, prefix, console), gap_ms, chunk, prefix is not None, ctrl_c
        )
        self.limit = limit
        # On a fast line a chunk is one message, as a rule: then it need not be scanned. `_whole`
        # is the byte that such a chunk starts with; None while messages come in pieces.
        self._whole = self._first = prefix
        self._prefix = b"" if prefix is None else bytes((prefix,))

    recv = Framed._read
    _decode = staticmethod(decode)

    def _take(self, n):
        """See Framed._take."""
        if self._buf[0] == self._whole and n <= self.limit:
            msg = self._decode(self._buf[1:n])
            if msg is not NOTHING:
                return msg
        msg = super()._take(n)
        self._whole = None if msg is NOTHING else self._first
        return msg

    def send(self, msg: "Any") -> "Any":
        """Send one object. TypeError: MessagePack cannot express it, nothing was sent."""
        return self.send_all((msg,))

    def send_all(self, msgs: "Sequence[Any]") -> "Any":
        """Send several objects in one piece; otherwise as `send`."""
        buf = bytearray()
        for msg in msgs:
            buf += self._prefix
            pack_into(buf, msg)
        return self._write(buf)
