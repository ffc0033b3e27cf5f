"""`machine.UART` for a simulated board; what is at the other end is set from outside.

There is no baud rate: bytes take no time. What the program does not read in time is lost, though.
"""

import io

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_POLL = const(3)  # MP_STREAM_POLL
_IN, _OUT = const(1), const(4)
_UARTS = const(2)


class Line:
    """The wires of one UART: `inp` is what it has received, `out` what it has sent."""

    def __init__(self) -> None:
        self.options: "dict[str, Any]" = {}
        self.inp = bytearray()
        self.out = bytearray()
        self.size = 0  # of its input buffer; 0: it is not open
        self.lost = 0  # bytes
        self.on_sent: "Callable[[], object] | None" = None

    def receive(self, data: "Any") -> None:
        """Bytes arrive from outside."""
        n = max(0, min(len(data), self.size - len(self.inp)))
        self.inp.extend(data[:n])
        self.lost += len(data) - n


lines = [Line() for _ in range(_UARTS)]


def reset() -> None:
    """Make the lines new."""
    lines[:] = [Line() for _ in range(_UARTS)]


class UART(io.IOBase):
    """See machine.UART."""

    def __init__(self, id: int, baudrate: int = 115200, **options: "Any") -> None:  # noqa: A002
        if not 0 <= id < _UARTS:
            raise ValueError("UART(%d) doesn't exist" % id)
        self._line = lines[id]
        self._line.size = options.get("rxbuf", 256)
        self._line.options = options
        options["baudrate"] = baudrate

    def any(self) -> int:
        """Return the number of bytes that can be read."""
        return len(self._line.inp)

    def readinto(self, buf: "Any") -> "int | None":
        """Read what there is, None if there is nothing."""
        inp = self._line.inp
        n = min(len(inp), len(buf))
        if not n:
            return None
        buf[:n] = inp[:n]
        self._line.inp = inp[n:]
        return n

    def read(self, n: int = -1) -> "bytes | None":
        """Read what there is, at most `n` bytes; None if there is nothing."""
        buf = bytearray(self.any() if n < 0 else min(n, self.any()))
        return bytes(buf) if self.readinto(buf) else None

    def write(self, buf: "Any") -> int:
        """Send bytes."""
        self._line.out.extend(buf)
        if self._line.on_sent is not None:
            self._line.on_sent()
        return len(buf)

    def ioctl(self, req: int, arg: int) -> int:
        """Tell whether it can be read or written."""
        if req != _POLL:
            return -1
        return arg & ((_IN if self._line.inp else 0) | _OUT)

    def deinit(self) -> None:
        """Close it."""
        self._line.size = 0
