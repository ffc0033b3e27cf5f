"""`machine` for a simulated board: as on the RP2040, as far as apps need it.

Errors are those of MicroPython's port: ValueError for a pin that cannot do that, OSError(EIO)
where nothing answers on an I2C bus.
"""

import moat.micro.sim.board as board
from moat.micro.const import const
from moat.micro.sim.uart import UART

__all__ = ("ADC", "I2C", "PWM", "SPI", "UART", "Pin", "bitstream")

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_ADC_PIN = const(26)  # of channel 0
_ADCS = const(5)
_EIO = const(5)
_CLOCK = const(125_000_000)
_SLOWEST = const(8)  # Hz that a PWM can do


class Pin:
    """See machine.Pin; the state is that of the board's pin, whichever object is used."""

    IN, OUT, OPEN_DRAIN, ALT = board.IN, board.OUT, board.OPEN_DRAIN, board.ALT
    PULL_UP, PULL_DOWN = board.PULL_UP, board.PULL_DOWN
    IRQ_FALLING, IRQ_RISING = board.FALLING, board.RISING

    def __init__(self, id: "Any", *args: "Any", **kw: "Any") -> None:  # noqa: A002
        self._wire = id._wire if isinstance(id, Pin) else board.wire(id)
        if args or kw:
            self.init(*args, **kw)

    def __repr__(self) -> str:
        return "Pin(GPIO%d)" % self._wire.n

    def init(
        self,
        mode: "int | None" = None,
        pull: "int | None" = None,
        value: "Any" = None,
        alt: int = 5,
    ) -> None:
        """Set it up; pulls are off unless `pull` is given."""
        wire = self._wire
        if value is not None:
            wire.out = 1 if value else 0
        elif mode == board.OPEN_DRAIN:
            wire.out = 1
        if mode is not None:
            wire.mode = mode
            wire.pwm = None
        wire.pull = pull or 0
        wire.changed()

    def value(self, x: "Any" = None) -> "int | None":
        """Return the level, or drive it."""
        if x is None:
            return self._wire.level
        self._wire.out = 1 if x else 0
        self._wire.changed()
        return None

    __call__ = value

    def on(self) -> None:
        """Drive it high."""
        self.value(1)

    def off(self) -> None:
        """Drive it low."""
        self.value(0)

    high, low = on, off

    def toggle(self) -> None:
        """Drive the other level."""
        self.value(not self._wire.out)

    def irq(self, handler: "Any" = None, trigger: int = 12, hard: bool = False) -> "_Irq":
        """Call `handler` with this pin after an edge; a hard one cannot allocate memory."""
        self._wire.irq = [handler, trigger, hard]
        return _Irq(self._wire)


class _Irq:
    def __init__(self, wire):
        self._wire = wire

    def flags(self) -> int:
        """The edge that has led to the last call."""
        return self._wire.flags

    def trigger(self, x: "int | None" = None) -> int:
        """The edges that lead to a call."""
        old = self._wire.irq[1]
        if x is not None:
            self._wire.irq[1] = x
        return old


def _pin_of(wire):
    return Pin(wire.n)


board.pin_of = _pin_of


class ADC:
    """See machine.ADC: channels 0 to 3 at the pins 26 to 29, and 4, the temperature."""

    CORE_TEMP = 4

    def __init__(self, source: "Any") -> None:
        if isinstance(source, int) and 0 <= source < _ADCS:
            self._channel = source
            return
        n = Pin(source)._wire.n
        if not 0 <= n - _ADC_PIN < _ADCS - 1:
            raise ValueError("Pin doesn't have ADC capabilities")
        self._channel = n - _ADC_PIN

    def read_u16(self) -> int:
        """Return 0 to 65535, of which 12 bits were measured."""
        raw = board.analog.get(self._channel, 0) >> 4
        return raw << 4 | raw >> 8


class PWM:
    """See machine.PWM. It begins when both a frequency and a duty are set."""

    def __init__(self, dest: "Any", **kw: "Any") -> None:
        self._wire = Pin(dest)._wire
        self._freq = self._duty = None
        self._wire.mode = board.ALT
        self.init(**kw)

    def init(
        self,
        freq: "int | None" = None,
        duty_u16: "int | None" = None,
        duty_ns: "int | None" = None,
        invert: bool = False,
    ) -> None:
        """Set it up."""
        if freq is not None:
            self.freq(freq)
        if duty_u16 is not None:
            self.duty_u16(duty_u16)
        if duty_ns is not None:
            self.duty_ns(duty_ns)

    def freq(self, hz: "int | None" = None) -> "int | None":
        """Return the frequency, or set it."""
        if hz is None:
            return self._freq or 0
        if hz < _SLOWEST:
            raise ValueError("freq too small")
        if hz > _CLOCK:
            raise ValueError("freq too large")
        self._freq = hz
        self._start()
        return None

    def duty_u16(self, x: "int | None" = None) -> "int | None":
        """Return the duty, or set it."""
        if x is None:
            return self._duty or 0
        self._duty = min(x, 65535)
        self._start()
        return None

    def duty_ns(self, x: "int | None" = None) -> "int | None":
        """Return how long a pulse takes, or set it."""
        hz = self._freq or 1
        if x is None:
            return (self._duty or 0) * 1_000_000_000 // hz // 65535
        return self.duty_u16(x * hz * 65535 // 1_000_000_000)

    def deinit(self) -> None:
        """Stop it."""
        self._wire.pwm = None
        self._wire.changed()

    def _start(self):
        if self._freq is not None and self._duty is not None:
            self._wire.pwm = [self._freq, self._duty]
            self._wire.changed()


class I2C:
    """See machine.I2C."""

    def __init__(
        self,
        id: int,  # noqa: A002
        freq: int = 400_000,
        scl: "Any" = None,
        sda: "Any" = None,
        timeout: int = 50_000,
    ) -> None:
        if id not in board.i2c:
            raise ValueError("I2C(%d) doesn't exist" % id)
        for pin, low, name in ((scl, 1, "SCL"), (sda, 0, "SDA")):
            if pin is not None:
                wire = Pin(pin)._wire
                if wire.n & 1 != low or (wire.n & 2) >> 1 != id:
                    raise ValueError("bad %s pin" % name)
                wire.mode, wire.pull = board.ALT, board.PULL_UP
        self._devices = board.i2c[id]

    def scan(self) -> "list[int]":
        """Return the addresses that answer."""
        return sorted([addr for addr in self._devices if 8 <= addr < 0x78])

    def _device(self, addr):
        if addr not in self._devices:
            raise OSError(_EIO)
        return self._devices[addr]

    def readfrom(self, addr: int, nbytes: int, stop: bool = True) -> bytes:
        """Read. OSError: nothing answers."""
        return self._device(addr).read(nbytes)

    def readfrom_into(self, addr: int, buf: "Any", stop: bool = True) -> None:
        """Read as much as fits."""
        buf[:] = self._device(addr).read(len(buf))

    def writeto(self, addr: int, buf: "Any", stop: bool = True) -> int:
        """Write; returns the number of bytes."""
        self._device(addr).write(bytes(buf))
        return len(buf)

    def readfrom_mem(self, addr: int, memaddr: int, nbytes: int, *, addrsize: int = 8) -> bytes:
        """Read registers."""
        self.writeto(addr, _address(memaddr, addrsize))
        return self.readfrom(addr, nbytes)

    def writeto_mem(self, addr: int, memaddr: int, buf: "Any", *, addrsize: int = 8) -> None:
        """Write registers."""
        self.writeto(addr, _address(memaddr, addrsize) + bytes(buf))


def _address(x, bits):
    return bytes([(x >> shift) & 255 for shift in range(bits - 8, -1, -8)])


class SPI:
    """See machine.SPI."""

    MSB, LSB = 1, 0

    def __init__(
        self,
        id: int,  # noqa: A002
        baudrate: int = 1_000_000,
        *,
        polarity: int = 0,
        phase: int = 0,
        bits: int = 8,
        firstbit: int = 1,
        sck: "Any" = None,
        mosi: "Any" = None,
        miso: "Any" = None,
    ) -> None:
        if id not in (0, 1):
            raise ValueError("SPI(%d) doesn't exist" % id)
        if firstbit != self.MSB:
            raise NotImplementedError("LSB")
        for pin in (sck, mosi, miso):
            if pin is not None:
                Pin(pin)._wire.mode = board.ALT
        self._bus = board.bus(id)
        self._bus.options = [baudrate, polarity, phase]

    def init(
        self,
        baudrate: int = 1_000_000,
        *,
        polarity: int = 0,
        phase: int = 0,
        bits: int = 8,
        firstbit: int = 1,
    ) -> None:
        """Set it up anew; the pins stay."""
        self._bus.options = [baudrate, polarity, phase]

    def write(self, buf: "Any") -> None:
        """Write; what arrives meanwhile is dropped."""
        self._bus.transfer(buf)

    def read(self, nbytes: int, write: int = 0) -> bytes:
        """Read, and write this byte again and again."""
        return self._bus.transfer(bytes([write]) * nbytes)

    def write_readinto(self, write_buf: "Any", read_buf: "Any") -> None:
        """Do both; the buffers have the same length."""
        if len(write_buf) != len(read_buf):
            raise ValueError("buffers must be the same length")
        read_buf[:] = self._bus.transfer(write_buf)

    def deinit(self) -> None:
        """Do nothing."""


def bitstream(pin: Pin, encoding: int, timing: "Any", buf: "Any") -> None:
    """See machine.bitstream."""
    if encoding != 0:
        raise ValueError("encoding")
    pin._wire.pixels = bytes(buf)
    pin._wire.changed()
