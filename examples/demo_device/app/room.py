"""The demo's app: a room with a heater. The room is computed, the rest is as on a real board."""

from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd

OUTSIDE = 12.0  # °C
HEATER = 16.0  # °C above that, in the end, at 100 percent


class App(BaseCmd):
    """Commands start with ``cmd_``, streams of values with ``stream_``."""

    def __init__(self):
        self.temp = 17.0
        self.power = 0

    async def cmd_about(self):
        """Tell what this is."""
        return {"name": "room", "unit": "°C", "now": self.temp, "heater": self.power}

    async def cmd_heat(self, percent):
        """Set the heater; returns what it was before."""
        if not 0 <= percent <= 100:
            raise ValueError(f"the heater takes 0 to 100 percent, not {percent}")
        print(f"heater: {percent} %")
        self.power, before = percent, self.power
        return before

    async def stream_temperature(self, out, n, every_ms):
        """Send `n` values; the result is the highest of them."""
        highest = self.temp
        for _ in range(n):
            target = OUTSIDE + HEATER * self.power / 100
            self.temp += (target - self.temp) / 8
            highest = max(highest, self.temp)
            await out.send(self.temp)
            await rt.sleep_ms(every_ms)
        return highest
