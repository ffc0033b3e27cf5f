"""A simulated board: what is on its pins and buses.

`machine` of this package acts on it as a program does; the app `sim`, and tests, act on it from
outside. It has the pins of an RP2040. There is one board, as there is one in reality.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

try:
    _heap: "Any" = __import__("micropython")
except ImportError:  # CPython: there a handler may allocate what it likes
    _heap = None

_PINS = const(30)
_LED = const(25)

IN, OUT, OPEN_DRAIN, ALT = 0, 1, 2, 3
PULL_UP, PULL_DOWN = 1, 2
FALLING, RISING = 4, 8


class Wire:
    """One pin, and what is connected to it.

    Attributes:
        mode, pull, out: as the program has set them; `out` is what it drives.
        outside: the level that something outside drives, None: nothing does.
        pwm: [frequency, duty] while it is driven so.
        pixels: the bytes that were last sent to a chain of LEDs.
        irq: [handler, trigger, hard], or None.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.mode = IN
        self.pull = 0
        self.out = 0
        self.outside: "int | None" = None
        self.pwm: "list[int] | None" = None
        self.pixels: "bytes | None" = None
        self.irq: "list[Any] | None" = None
        self.flags = 0
        self._seen = 0

    @property
    def level(self) -> int:
        """What can be measured there."""
        if self.mode == OUT or (self.mode == OPEN_DRAIN and not self.out):
            return self.out
        if self.outside is not None:
            return self.outside
        return 1 if self.pull == PULL_UP else 0

    def changed(self) -> None:
        """Tell the program, and who watches, after something was set.

        An error of the program's handler is raised here; it is not called again.
        """
        old, self._seen = self._seen, self.level
        for fn in list(watchers):
            fn(self)
        if self._seen != old and self.irq is not None:
            self._interrupt(RISING if self._seen else FALLING)

    def _interrupt(self, edge):
        handler, trigger, hard = self.irq or (None, 0, False)
        if handler is None or not trigger & edge:
            return
        heap = _heap if hard else None
        self.flags = edge
        pin = pin_of(self)
        if heap is not None:
            heap.heap_lock()
        try:
            handler(pin)
        except BaseException:
            self.irq = None
            raise
        finally:
            if heap is not None:
                heap.heap_unlock()

    def facts(self) -> "dict[str, Any]":
        """Return what there is to know about it."""
        return {
            "level": self.level,
            "mode": ("in", "out", "open_drain", "alt")[self.mode],
            "pull": ("none", "up", "down")[self.pull],
            "pwm": self.pwm,
            "irq": self.irq is not None and self.irq[0] is not None,
        }


class Memory:
    """A device on an I2C bus: registers; the first byte that is written is where to go on.

    Args:
        data: their contents; after the last one comes the first one.
    """

    def __init__(self, data: "Any") -> None:
        self.data = bytearray(data)
        self._at = 0

    def write(self, data: "Any") -> None:
        """Take the bytes of one transfer."""
        for i, x in enumerate(data):
            if i == 0:
                self._at = x
            else:
                self.data[self._at % len(self.data)] = x
                self._at += 1

    def read(self, n: int) -> bytes:
        """Return the next bytes."""
        data = bytes([self.data[(self._at + i) % len(self.data)] for i in range(n)])
        self._at += n
        return data


class Spi:
    """What is behind an SPI bus."""

    def __init__(self) -> None:
        self.sent = b""  # by the program, in the last transfer
        self.answer = b""  # what it will read next; then zeros
        self.options: "list[int]" = []  # baud rate, polarity, phase

    def transfer(self, data: "Any") -> bytes:
        """Exchange bytes."""
        self.sent = bytes(data)
        n = len(self.sent)
        got, self.answer = self.answer[:n], self.answer[n:]
        return got + bytes(n - len(got))


wires: "dict[int, Wire]" = {}
analog: "dict[int, int]" = {}  # channel -> 0…65535
i2c: "dict[int, dict[int, Any]]" = {0: {}, 1: {}}  # bus -> address -> device
spi: "dict[int, Spi]" = {}
watchers: "list[Callable[[Wire], object]]" = []
pin_of: "Any" = None  # makes a machine.Pin of a wire; set by that module


def wire(name: "Any") -> Wire:
    """Return a pin by its number, or a name such as "GP4". ValueError: there is none."""
    if isinstance(name, str):
        if name == "LED":
            name = _LED
        elif name.startswith("GP") and name[2:].isdigit():
            name = int(name[2:])
        else:
            raise ValueError('unknown named pin "%s"' % name)
    if not isinstance(name, int) or not 0 <= name < _PINS:
        raise ValueError("invalid pin")
    if name not in wires:
        wires[name] = Wire(name)
    return wires[name]


def bus(n: int) -> Spi:
    """Return what is behind an SPI bus."""
    if n not in spi:
        spi[n] = Spi()
    return spi[n]


def reset() -> None:
    """Make it a new board."""
    for each in (wires, analog, spi, i2c[0], i2c[1]):
        each.clear()
    del watchers[:]
