"""Says when to try again to open a link that is down.

The delays grow by a factor up to a maximum, so that a link that is gone for long costs little.
Each is shortened at random: many clients of a server that has started anew shall not all
come back at the same moment (exponential back-off with jitter).

A link that opens and breaks again at once is no better than one that does not open. So the
delays start anew only after the link has been up for as long as the longest of them: whatever
the link does, there is in the long run about one attempt per `max_ms`, at most.

There is no clock and no random source in here: the caller measures, and draws.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class Backoff:
    """Delays between attempts, and when to give up.

    Args:
        base_ms: the first delay.
        factor: what each further one is multiplied by, at least 1.
        max_ms: the longest one.
        jitter: percent by which a delay is shortened at most.
        retries: attempts that may fail in a row, None for any number. The very first one,
            which no delay precedes, does not count.
        give_up_ms: how long the link may be down, None for ever; less than six days.
    """

    def __init__(
        self,
        base_ms: int = 100,
        factor: "Any" = 2,
        max_ms: int = 5000,
        jitter: int = 50,
        retries: "int | None" = None,
        give_up_ms: "int | None" = None,
    ) -> None:
        if base_ms < 1 or max_ms < base_ms or factor < 1 or not 0 <= jitter <= 100:
            raise ValueError("1 <= base_ms <= max_ms, factor >= 1, 0 <= jitter <= 100")
        self._base = base_ms
        self._factor = factor
        self._max = max_ms
        self._jitter = jitter
        self._retries = retries
        self._give_up = give_up_ms
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self._delay = self._base
        self.tries = 0  # attempts that were granted since

    def broke(self, up_ms: int) -> None:
        """The link has broken, `up_ms` after it was opened."""
        # A device's clock wraps: after six days the difference is negative.
        if up_ms >= self._max or up_ms < 0:
            self.reset()

    def next(self, rand: int, down_ms: int) -> "int | None":
        """Return the milliseconds to wait before the next attempt; None: give up.

        Args:
            rand: 16 random bits; more do no harm.
            down_ms: how long the link has been down.
        """
        if self._retries is not None and self.tries >= self._retries:
            return None
        if self._give_up is not None and down_ms >= self._give_up:
            return None
        delay = self._delay
        self._delay = min(int(delay * self._factor), self._max)
        self.tries += 1
        delay -= delay * self._jitter * (rand & 0xFFFF) // (100 << 16)
        if self._give_up is not None:
            delay = min(delay, self._give_up - down_ms)  # one last attempt, in time
        return delay
