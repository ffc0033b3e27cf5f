"""Pins: `PinIn` tells levels and edges, `PinOut` drives a level.

Their settings are

    pin         number or name of the pin
    invert      true: the pin's low level is our 1
    pull        of PinIn: "up" or "down"
    debounce_ms of PinIn: so long after an edge, further ones are bounces
    value       of PinOut: what it drives at first, 0 by default
    open_drain  of PinOut: true: it drives the low level only
    max_on_ms   of PinOut: so long at most it drives 1

A pin is an input without pull when its app is stopped.
"""

from moat.micro import hw, rt
from moat.micro.app._settings import Settings, choice, number
from moat.micro.clock import unix_us
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const
from moat.micro.errors import InUseError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_JITTER_US = const(20_000)  # two clocks that are read one after the other
_LONGEST_MS = const(86_400_000)
_LEVELS = (0, 1)
_EDGES = ("both", "rising", "falling")


class PinIn(BaseCmd):
    """An input."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "pin", "invert pull debounce_ms")
        self._gpio = hw.part("Pin")(s.pin("pin"))
        self._invert = int(s.flag("invert"))
        self._pull = s.choice("pull", None, ("up", "down"))
        self._quiet_us = 1000 * s.number("debounce_ms", 0, 0, 10_000)
        self._pin: "Any" = None
        self._ring: "Any" = None
        self._flags: "list[Any]" = []  # of those who wait for edges

    @rt.asynccontextmanager
    async def _ctx(self):
        pin = self._gpio
        pull = getattr(pin, "PULL_" + self._pull.upper()) if self._pull else None
        pin.init(pin.IN, pull)
        self._pin = pin
        try:
            yield self
        finally:
            self._off()
            self._pin = None
            pin.init(pin.IN, None)
            for flag in self._flags:
                flag.set()

    async def cmd_get(self) -> int:
        """Return the level, 0 or 1."""
        return self._level()

    async def stream_watch(self, st: "Any", edges: str = "both") -> None:
        """Send [level, time, lost]: what is there now, then each edge.

        The time is that of `sys.time` when it happened, in microseconds. `lost` is the number
        of edges since the last one sent that came faster than they could be noted or sent; of
        three that come during one interrupt, two are not seen at all.
        `edges` is "both", "rising" or "falling".
        """
        choice("edges", edges, _EDGES)
        async with self._watched(edges) as (reader, flag):
            now = rt.ticks_us()
            us = unix_us()
            await st.send([reader.first, us, 0])
            while True:
                level, then, lost = await self._edge(reader, flag)
                us += rt.ticks_diff(then, now)
                now = then
                real = unix_us() - rt.ticks_diff(rt.ticks_us(), then)
                if abs(real - us) > _JITTER_US:  # a long pause, or the time was set
                    us = real
                await st.send([level, us, lost])

    async def cmd_wait(self, level: int = 1) -> None:
        """Wait until the pin has this level, or has had it."""
        choice("level", level, _LEVELS)
        async with self._watched() as (reader, flag):
            now = reader.first
            while now != level:
                now = (await self._edge(reader, flag))[0]

    def _level(self):
        return self._pin.value() ^ self._invert

    async def _edge(self, reader, flag):
        while True:
            now = rt.ticks_us()
            edge = reader.take(now)
            if edge is not None:
                return edge
            due = reader.due(now)
            if due is None:
                await flag.wait()
            else:
                try:
                    async with rt.timeout_ms(due // 1000 + 1):
                        await flag.wait()
                except rt.TimeoutError:
                    pass
            await rt.sleep_ms(0)  # a flag that is set does not: others have their turn
            if self._pin is None:
                raise self.keeper.why()

    @rt.asynccontextmanager
    async def _watched(self, edges="both"):
        """Give a reader, and the flag that is set when there is something for it."""
        from moat.micro.app._edges import Reader

        flag = hw.Flag()
        self._flags.append(flag)
        try:
            ring = self._ring or self._on()
            while True:  # an edge may come in between
                n, level = ring.n, self._level()
                if ring.n == n:
                    break
            yield Reader(ring, rt.ticks_diff, level, edges, self._quiet_us), flag
        finally:
            self._flags.remove(flag)
            if not self._flags:
                self._off()

    def _on(self):
        from moat.micro.app._edges import Ring

        pin, self._ring = self._pin, Ring()
        self._now = rt.ticks_us
        trigger = pin.IRQ_RISING | pin.IRQ_FALLING
        try:
            pin.irq(self._interrupt, trigger, hard=True)
        except TypeError:  # as on the ESP32
            pin.irq(self._interrupt, trigger)
        return self._ring

    def _off(self):
        if self._ring is not None and self._pin is not None:
            self._pin.irq(None)
        self._ring = None

    def _interrupt(self, pin):
        """Note an edge; there is no memory to be had here."""
        if self._ring is not None:
            self._ring.note(self._now(), pin.value() ^ self._invert)
            for flag in self._flags:
                flag.set()


class PinOut(BaseCmd):
    """An output."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "pin", "invert open_drain value max_on_ms")
        self._gpio = hw.part("Pin")(s.pin("pin"))
        self._invert = int(s.flag("invert"))
        self._open_drain = s.flag("open_drain")
        self._first = s.number("value", 0, 0, 1)
        self._max_on_ms = s.number("max_on_ms", None, 1, _LONGEST_MS)
        self._pulsing = False
        self._changed = rt.Event()
        self._value = self._first
        self._since = 0
        self._pin: "Any" = None

    @rt.asynccontextmanager
    async def _ctx(self):
        pin = self._gpio
        mode = pin.OPEN_DRAIN if self._open_drain else pin.OUT
        self._since = rt.ticks_ms()
        pin.init(mode, value=self._first ^ self._invert)
        self._pin = pin
        try:
            yield self
        finally:
            self._pin = None
            pin.init(pin.IN, None)

    async def run(self) -> None:
        """Keep to `max_on_ms`."""
        while self._max_on_ms is not None:
            self._changed.clear()
            if not self._value:
                await self._changed.wait()
                continue
            left = self._max_on_ms - rt.ticks_diff(rt.ticks_ms(), self._since)
            if left <= 0:
                self._set(0)
                continue
            try:
                async with rt.timeout_ms(left):
                    await self._changed.wait()
            except rt.TimeoutError:
                pass

    async def cmd_get(self) -> int:
        """Return what it drives, 0 or 1."""
        return self._value

    async def cmd_set(self, value: int) -> None:
        """Drive 0 or 1. Driving 1 again does not make `max_on_ms` start anew."""
        self._set(choice("value", value, _LEVELS))

    async def cmd_toggle(self) -> int:
        """Drive the other value; returns it."""
        self._set(1 - self._value)
        return self._value

    async def cmd_pulse(self, ms: int, value: int = 1) -> None:
        """Drive `value` for `ms` milliseconds, then the other one; so too when it is cancelled.

        InUseError: another pulse is under way.
        """
        number("ms", ms, 1, self._max_on_ms or _LONGEST_MS)
        choice("value", value, _LEVELS)
        if self._pulsing:
            raise InUseError("another pulse is under way")
        self._pulsing = True
        try:
            self._set(value)
            await rt.sleep_ms(ms)
        finally:
            self._pulsing = False
            if self._pin is not None:
                self._set(1 - value)

    def _set(self, value):
        if self._pin is None:
            raise self.keeper.why()
        value = int(value)
        if value and not self._value:
            self._since = rt.ticks_ms()
        self._value = value
        self._pin.value(value ^ self._invert)
        self._changed.set()
