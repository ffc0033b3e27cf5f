"""Pulse width modulation: a dimmed lamp, a motor, a servo.

Settings:

    pin         number or name of the pin
    freq        Hz, 1000 by default
    duty        at first, 0 to 65535; 0 by default
    max_duty    65535 by default: `set` takes no more
    min_freq, max_freq   what `set` takes; by default `freq` is all that there is
    invert      true: the pin's low level is our pulse

The pin is an input when the app is stopped. Where pins share a generator they have one frequency;
on the RP2040 those are 0 and 1, 2 and 3, …, and again from 16 on.
"""

import sys

from moat.micro import hw, rt
from moat.micro.app._settings import Settings, number
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_FULL = const(65535)
_FASTEST = const(40_000_000)


class PwmCmd(BaseCmd):
    """A pin with pulses."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "pin", "freq duty max_duty min_freq max_freq invert")
        self._pin = hw.part("Pin")(s.pin("pin"))
        self._open = hw.part("PWM")
        self._freq = freq = s.number("freq", 1000, 1, _FASTEST)
        self._max_duty = s.number("max_duty", _FULL, 1, _FULL)
        self._duty = s.number("duty", 0, 0, self._max_duty)
        self._min_freq = s.number("min_freq", freq, 1, freq)
        self._max_freq = s.number("max_freq", freq, freq, _FASTEST)
        self._invert = s.flag("invert")
        self._pwm: "Any" = None

    @rt.asynccontextmanager
    async def _ctx(self):
        pin = self._pin
        pwm = self._open(pin)
        try:
            pwm.freq(self._freq)
            self._pwm = pwm
            self._set(self._duty)
            yield self
        finally:
            self._pwm = None
            pwm.duty_u16(_FULL if self._invert else 0)
            # Input first: with the generator stopped, an output would stay at any level.
            pin.init(pin.IN, None)
            if sys.platform != "rp2":  # there it would stop the other pin of the generator, too
                pwm.deinit()

    async def cmd_get(self) -> "dict[str, int]":
        """Return `duty`, 0 to 65535, and `freq`, in Hz."""
        return {"duty": self._duty, "freq": self._freq}

    async def cmd_set(self, duty: "int | None" = None, freq: "int | None" = None) -> None:
        """Set the duty, 0 to 65535, the frequency in Hz, or both.

        ValueError: not within the limits of the settings, or the board cannot do it.
        """
        if duty is not None:
            number("duty", duty, 0, self._max_duty)
        if freq is not None:
            number("freq", freq, self._min_freq, self._max_freq)
        if self._pwm is None:
            raise self.keeper.why()
        if freq is not None:
            self._pwm.freq(freq)
            self._freq = freq
        if duty is not None:
            self._set(duty)

    async def cmd_off(self) -> None:
        """Set the duty to 0."""
        await self.cmd_set(0)

    def _set(self, duty):
        self._duty = duty
        self._pwm.duty_u16(_FULL - duty if self._invert else duty)
