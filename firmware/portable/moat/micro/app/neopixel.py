"""A chain of LEDs: WS2812, SK6812 and the like.

Settings:

    pin        number or name of the pin
    n          number of LEDs, up to 1024
    order      order of the colours on the line, "GRB" by default; "GRBW" and the like for LEDs
               that have white
    max_level  0 to 255, by default 255: the highest value of a colour; higher ones are cut

Sending takes 30 µs per LED (40 with white), in which no interrupt is served: with 90 of them a
UART at 115200 baud may lose bytes.
"""

from moat.micro import hw, rt
from moat.micro.app._settings import Settings, number
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_MOST = const(1024)
_TIMING = (400, 850, 800, 450)  # ns: high and low for a 0, for a 1


class PixelCmd(BaseCmd):
    """Sets colours, each [red, green, blue], or [red, green, blue, white]."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "pin n", "order max_level")
        self._gpio = hw.part("Pin")(s.pin("pin"))
        self._send = hw.part("bitstream")
        self._n = s.number("n", 1, 1, _MOST)
        order = s.text("order", "GRB", 3, 4)
        if sorted(order) != sorted("RGBW"[: len(order)]):
            raise ValueError("order: %r is no order of RGB or RGBW" % order)
        self._order = ["RGBW".index(c) for c in order]
        self._max = s.number("max_level", 255, 0, 255)
        self._buf = bytearray(self._n * len(order))
        self._pin: "Any" = None

    @rt.asynccontextmanager
    async def _ctx(self):
        self._pin = pin = self._gpio
        pin.init(pin.OUT, value=0)
        try:
            self._show()
            yield self
        finally:
            self._fill(bytes(4))
            self._show()
            self._pin = None
            pin.init(pin.IN, None)

    async def cmd_get(self) -> "list[list[int]]":
        """Return the colours."""
        width = len(self._order)
        colours = []
        for i in range(0, len(self._buf), width):
            colour = [0] * width
            for at, which in enumerate(self._order):
                colour[which] = self._buf[i + at]
            colours.append(colour)
        return colours

    async def cmd_set(self, colours: "list[Any]", first: int = 0) -> None:
        """Set the colours of some LEDs, from number `first` on."""
        number("first", first, 0, self._n - 1)
        number("the number of colours", len(colours), 0, self._n - first)
        for colour in colours:
            self._check(colour)
        for i, colour in enumerate(colours):
            self._put(first + i, colour)
        self._show()

    async def cmd_fill(self, colour: "list[int]") -> None:
        """Set all to one colour."""
        self._check(colour)
        self._fill(colour)
        self._show()

    async def cmd_off(self) -> None:
        """Switch all off."""
        self._fill(bytes(4))
        self._show()

    def _check(self, colour):
        if len(colour) != len(self._order):
            raise ValueError("a colour has %d numbers" % len(self._order))
        for level in colour:
            number("a colour", level, 0, 255)

    def _fill(self, colour):
        for i in range(self._n):
            self._put(i, colour)

    def _put(self, i, colour):
        at = i * len(self._order)
        for which in self._order:
            self._buf[at] = min(colour[which], self._max)
            at += 1

    def _show(self):
        if self._pin is None:
            raise self.keeper.why()
        self._send(self._pin, 0, _TIMING, self._buf)
