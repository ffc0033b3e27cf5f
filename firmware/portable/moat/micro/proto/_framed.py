"""What the decoders have in common that cut a byte stream into frames and console text.

A frame that fails may have a rest that is still to come. Until the next silence nothing counts
as Ctrl-C then.

There is no clock in here: the caller watches the gap between chunks while `unsettled` says so.
"""


class BaseDecoder:
    """Feed it chunks; `next` returns what a frame carries, `text` collects the console.

    Subclasses have `next`; it returns None when it needs more.

    Args:
        console: bytes of console text that are kept; the oldest are dropped.
    """

    def __init__(self, console: int) -> None:
        self.text = bytearray()
        self.ctrl_c = False  # a Ctrl-C came outside of frames; the reader clears this
        self.errors = 0  # frames that were given up
        self.dropped = 0  # bytes of text that nobody took in time
        self._console = console
        self.reset()

    def reset(self) -> None:
        """Forget a half frame: the link starts anew. Text stays."""
        self._buf = bytearray()
        self._at = 0  # first byte not dealt with
        self._silent = False  # there was a silence behind the last byte
        self._failed = False  # a frame has failed since the last silence
        self.inside = False  # a frame has begun and is not complete

    # No property: a class with one makes each store to an attribute ten times as slow.
    def unsettled(self) -> bool:
        """Return True while a silence would tell something: call `expire` then."""
        return self.inside or self._failed

    def expire(self) -> None:
        """Nothing came for too long: give up what is incomplete. Then call `next`."""
        self._silent = True

    def fork(self) -> "BaseDecoder":
        """Return a decoder in the same state, to look ahead with: this one is not touched."""
        new = object.__new__(type(self))
        for name, value in self.__dict__.items():
            setattr(new, name, value[:] if isinstance(value, bytearray) else value)
        return new

    def _look_for_ctrl_c(self, new):
        if b"\x03" in new:
            self.ctrl_c = True

    def _add_text(self, new):
        if not self._failed:
            self._look_for_ctrl_c(new)
        text = self.text
        text.extend(new)
        over = len(text) - self._console
        if over > 0:
            text[0:over] = b""
            self.dropped += over
