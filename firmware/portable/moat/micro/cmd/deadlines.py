"""Ends the calls of a peer whose deadlines have passed: one task for all of a link."""

from moat.micro import rt
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_IDLE_MS = 1 << 28  # nothing is due


class Deadlines:
    """Watches the calls that are served; those with a deadline have it as `due`."""

    def __init__(self, core: "Any") -> None:
        self._core = core
        self._sooner = rt.Event()
        self._due: "int | None" = None  # when we wake up

    def more(self, due: int) -> None:
        """One of them has to be ended at this tick."""
        if self._due is None or rt.ticks_diff(due, self._due) < 0:
            self._sooner.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        timer = rt.timeout_ms(0)
        while True:
            self._sooner.clear()
            now = rt.ticks_ms()
            timer.ms = _IDLE_MS
            for served in list(self._core.served.values()):
                if served is not None and served.due is not None:
                    left = rt.ticks_diff(served.due, now)
                    if left <= 0:
                        served.expire()
                    elif left < timer.ms:
                        timer.ms = left
            self._due = rt.ticks_add(now, timer.ms)
            try:
                async with timer:  # most calls end before: their deadlines cost nothing
                    await self._sooner.wait()
            except rt.TimeoutError:
                pass
