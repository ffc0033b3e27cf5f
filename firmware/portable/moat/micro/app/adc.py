"""Analog inputs.

Settings:

pin        number or name of the pin; or
channel    number of the converter's channel
samples    values to take the mean of, 1 by default, up to 256
atten      attenuation in dB on an ESP32: 0, 2.5, 6 or 11
"""

from moat.micro import hw
from moat.micro.app._settings import Settings, number
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_ATTEN = {0: "ATTN_0DB", 2.5: "ATTN_2_5DB", 6: "ATTN_6DB", 11: "ATTN_11DB"}
_SLOWEST_MS = const(86_400_000)


class AdcCmd(BaseCmd):
    """An analog input; its values are from 0 to 65535."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "", "pin channel samples atten")
        pin, channel = s.pin("pin"), s.number("channel", None, 0, 63)
        if (pin is None) == (channel is None):
            raise ValueError("either `pin` or `channel` is needed")
        self._samples = s.number("samples", 1, 1, 256)
        atten = s.choice("atten", None, tuple(_ATTEN))
        ADC = hw.part("ADC")  # noqa: N806
        self._adc = ADC(channel if pin is None else hw.part("Pin")(pin))
        if atten is not None:
            if not hasattr(self._adc, "atten"):
                raise ValueError("atten: this board has none")
            self._adc.atten(getattr(ADC, _ATTEN[atten]))

    async def cmd_get(self) -> int:
        """Return the value."""
        return self._read()

    async def stream_watch(self, st: "Any", interval_ms: int = 100, change: int = 0) -> None:
        """Send the value each `interval_ms`; with `change`, only one that differs by so much.

        What it has to differ from is the value that was sent last; the first is always sent.
        """
        number("interval_ms", interval_ms, 1, _SLOWEST_MS)
        number("change", change, 0, 65535)
        last = -65536
        async for _ in st.every(interval_ms):
            value = self._read()
            if abs(value - last) >= change:
                last = value
                await st.send(value)

    def _read(self):
        n, read = self._samples, self._adc.read_u16
        total = 0
        for _ in range(n):
            total += read()
        return (total + n // 2) // n
