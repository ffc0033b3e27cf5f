"""A device on an SPI bus.

Settings:

    id        number of the bus, 0 by default
    sck, mosi, miso  pins; by default those of the board
    cs        pin that selects the device
    cs_high   true: its high level does
    baudrate  bits per second, 1,000,000 by default, up to 62,500,000
    polarity, phase  0 or 1, both 0 by default
    lsb       true: the lowest bit of a byte comes first
    soft      true: any three pins, driven by the program

Several devices on one bus are several apps, with the same `id` and pins, and each with a `cs` of
its own; the rest may differ. When one is stopped, only its `cs` becomes an input.
"""

from moat.micro import hw, rt
from moat.micro.app._settings import Settings, number
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_MOST = const(1024)  # bytes of a transfer
_PINS = ("sck", "mosi", "miso")


class SpiCmd(BaseCmd):
    """Writes to a device, reads from it, or both at once."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        keys = "id sck mosi miso cs cs_high baudrate polarity phase lsb soft"
        s = Settings(settings, "", keys)
        soft = s.flag("soft")
        self._open = hw.part("SoftSPI" if soft else "SPI")
        self._id = () if soft else (s.number("id", 0, 0, 9),)
        self._options = options = {
            "baudrate": s.number("baudrate", 1_000_000, 1000, 62_500_000),
            "polarity": s.number("polarity", 0, 0, 1),
            "phase": s.number("phase", 0, 0, 1),
        }
        if s.flag("lsb"):
            options["firstbit"] = self._open.LSB
        Pin = hw.part("Pin")  # noqa: N806
        self._pins = {key: Pin(s.pin(key)) for key in _PINS if s.pin(key) is not None}
        if soft and len(self._pins) < len(_PINS):
            raise ValueError("soft: it needs the keys 'sck', 'mosi' and 'miso'")
        self._cs = None if s.pin("cs") is None else Pin(s.pin("cs"))
        self._selected = int(s.flag("cs_high"))
        self._bus: "Any" = None

    @rt.asynccontextmanager
    async def _ctx(self):
        cs = self._cs
        if cs is not None:
            cs.init(cs.OUT, value=1 - self._selected)
        try:
            kw = dict(self._options)
            kw.update(self._pins)
            self._bus = self._open(*self._id, **kw)
            yield self
        finally:
            self._bus = None
            if cs is not None:  # the other pins may be another device's, too
                cs.init(cs.IN, None)

    async def cmd_write(self, data: bytes) -> None:
        """Write at most 1024 bytes."""
        self._transfer(len(data), lambda bus: bus.write(data))

    async def cmd_read(self, n: int, fill: int = 0) -> bytes:
        """Read `n` bytes, at most 1024, while `fill` is written again and again."""
        number("fill", fill, 0, 255)
        return self._transfer(n, lambda bus: bus.read(n, fill))

    async def cmd_exchange(self, data: bytes, n: int = 0) -> bytes:
        """Write bytes, then `n` zeros; return what is read meanwhile, as many."""
        number("n", n, 0, _MOST)
        buf = bytearray(data + bytes(n))
        self._transfer(len(buf), lambda bus: bus.write_readinto(buf, buf))
        return bytes(buf)

    def _transfer(self, n, fn):
        number("the number of bytes", n, 0, _MOST)
        bus, cs = self._bus, self._cs
        if bus is None:
            raise self.keeper.why()
        bus.init(**self._options)  # another device may have other ones
        if cs is not None:
            cs.value(self._selected)
        try:
            return fn(bus)
        finally:
            if cs is not None:
                cs.value(1 - self._selected)
