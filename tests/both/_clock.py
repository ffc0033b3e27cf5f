"""A clock that a test sets: the runtime's sleeps and ticks, as long as it is entered."""

from moat.micro import rt


class Clock:
    """Context manager; `now` is what ticks_ms returns, `sleeps` what was asked for.

    `sleep_ms(0)` stays what it is. Time does not go by itself.
    """

    def __init__(self, now=1000):
        self.now = now
        self.sleeps = []
        self._sleepers = []  # [due, event]

    def __enter__(self):
        self._real = rt.sleep_ms, rt.ticks_ms
        rt.sleep_ms = self._sleep
        rt.ticks_ms = lambda: self.now
        return self

    def __exit__(self, *exc):
        rt.sleep_ms, rt.ticks_ms = self._real

    async def _sleep(self, ms):
        if ms <= 0:
            await self._real[0](0)
            return
        self.sleeps.append(ms)
        me = [self.now + ms, rt.Event()]
        self._sleepers.append(me)
        try:
            await me[1].wait()
        finally:
            self._sleepers.remove(me)

    @property
    def sleeping(self):
        """How many tasks sleep."""
        return len(self._sleepers)

    async def advance(self, ms):
        """Let `ms` milliseconds go by, and what is due then run."""
        self.now += ms
        for due, event in self._sleepers:
            if due <= self.now:
                event.set()
        for _ in range(10):
            await self._real[0](0)

    async def next(self):
        """Go on to when the first sleeper is due; returns the milliseconds."""
        ms = min(due for due, _ in self._sleepers) - self.now
        await self.advance(ms)
        return ms
