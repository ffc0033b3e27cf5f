"""A bus of I2C devices.

Settings:

    id        number of the bus, 0 by default
    scl, sda  pins; by default those of the board
    freq      Hz, 100,000 by default, up to 1,000,000
    timeout_us  so long a device may hold the clock; by default that of the board, about 50,000
    soft      true: any two pins, driven by the program
    allow     list of addresses; by default all of them may be used

A transfer keeps all else waiting: at 100 kHz a byte takes 0.1 ms.
"""

from moat.micro import hw, rt
from moat.micro.app._settings import Settings, choice, number
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_MOST = const(256)  # bytes of a transfer
_SLOWEST_MS = const(86_400_000)
_WIDTHS = (8, 16, 24, 32)
_PINS = ("scl", "sda")


class I2cCmd(BaseCmd):
    """Devices by their 7-bit addresses. OSError: nobody answers there; its errno is the port's."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "", "id scl sda freq timeout_us soft allow")
        self._allow = allow = s.get("allow")
        if allow is not None:
            if not isinstance(allow, (list, tuple)):
                raise ValueError("allow: this is no list of addresses")
            for addr in allow:
                number("allow", addr, 0, 127)
        options = {"freq": s.number("freq", 100_000, 1000, 1_000_000)}
        timeout = s.number("timeout_us", None, 100, 1_000_000)
        if timeout is not None:
            options["timeout"] = timeout
        for key in _PINS:
            if s.pin(key) is not None:
                options[key] = hw.part("Pin")(s.pin(key))
        self._options = options
        soft = s.flag("soft")
        if soft and not ("scl" in options and "sda" in options):
            raise ValueError("soft: it needs the keys 'scl' and 'sda'")
        self._open = hw.part("SoftI2C" if soft else "I2C")
        self._id = () if soft else (s.number("id", 0, 0, 9),)
        self._bus: "Any" = None

    @rt.asynccontextmanager
    async def _ctx(self):
        self._bus = self._open(*self._id, **self._options)
        try:
            yield self
        finally:
            bus, self._bus = self._bus, None
            if hasattr(bus, "deinit"):
                bus.deinit()
            for key in _PINS:
                pin = self._options.get(key)
                if pin is not None:
                    pin.init(pin.IN, None)

    async def cmd_scan(self) -> "list[int]":
        """Return the addresses that answer; of these, those that may be used."""
        found = self._open_bus().scan()
        return [addr for addr in found if self._allow is None or addr in self._allow]

    async def cmd_read(self, addr: int, n: int = 1) -> bytes:
        """Read `n` bytes, at most 256."""
        bus = self._at(addr, n)
        return _answer(addr, bus.readfrom, addr, n)

    async def cmd_write(self, addr: int, data: bytes) -> None:
        """Write at most 256 bytes."""
        bus = self._at(addr, len(data))
        _answer(addr, bus.writeto, addr, data)

    async def cmd_read_reg(self, addr: int, reg: int, n: int = 1, bits: int = 8) -> bytes:
        """Read `n` bytes, from a register on whose number has 8, 16, 24 or 32 bits."""
        bus = self._at(addr, n)
        _check_register(reg, bits)
        kw = {} if bits == 8 else {"addrsize": bits}
        return _answer(addr, bus.readfrom_mem, addr, reg, n, **kw)

    async def cmd_write_reg(self, addr: int, reg: int, data: bytes, bits: int = 8) -> None:
        """Write bytes, from a register on whose number has 8, 16, 24 or 32 bits."""
        bus = self._at(addr, len(data))
        _check_register(reg, bits)
        kw = {} if bits == 8 else {"addrsize": bits}
        _answer(addr, bus.writeto_mem, addr, reg, data, **kw)

    async def stream_watch(
        self, st: "Any", addr: int, reg: int, n: int = 1, interval_ms: int = 1000, bits: int = 8
    ) -> None:
        """Send `n` bytes from a register on, as `read_reg` does, each `interval_ms`."""
        number("interval_ms", interval_ms, 1, _SLOWEST_MS)
        async for _ in st.every(interval_ms):
            await st.send(await self.cmd_read_reg(addr, reg, n, bits))

    def _open_bus(self):
        if self._bus is None:
            raise self.keeper.why()
        return self._bus

    def _at(self, addr, n):
        number("addr", addr, 0, 127)
        number("the number of bytes", n, 0, _MOST)
        if self._allow is not None and addr not in self._allow:
            raise ValueError("addr: 0x%02x is none of those that are allowed" % addr)
        return self._open_bus()


def _check_register(reg, bits):
    choice("bits", bits, _WIDTHS)
    number("reg", reg, 0, (1 << bits) - 1)


def _answer(addr, fn, *args, **kw):
    try:
        return fn(*args, **kw)
    except OSError as exc:
        raise OSError(exc.args[0], "no answer from 0x%02x" % addr)
