"""Edges of a pin, from the interrupt handler to those who want to know.

`Ring.note` runs in an interrupt: it stores one small integer, and allocates nothing. Readers
do not take part: who is too slow finds that the oldest edges were overwritten, and counts them.

Times are microseconds that wrap, compared with `diff`.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_SIZE = const(64)  # edges, a power of two
_WRAP = const(0x3FFFFFFF)


class Ring:
    """The last edges of a pin."""

    def __init__(self) -> None:
        self.items = [0] * _SIZE  # the time, or ~time where the level has become low
        self.n = 0  # edges so far

    def note(self, time: int, level: int) -> None:
        """An edge; `level` is what is there now."""
        n = self.n
        self.items[n & (_SIZE - 1)] = time if level else ~time
        self.n = (n + 1) & _WRAP


class Reader:
    """One who reads a ring.

    Args:
        ring: the ring.
        diff: microseconds between two times.
        level: of the pin now.
        edges: those that are wanted: "both", "rising" or "falling".
        quiet_us: so long after an edge, further ones are bounces: they are not told, and not
            counted. If they have left the pin at another level, then that is told.
    """

    def __init__(
        self,
        ring: Ring,
        diff: "Callable[[int, int], int]",
        level: int,
        edges: str = "both",
        quiet_us: int = 0,
    ) -> None:
        self.first = level
        self.lost = 0  # edges that were not told, since the last one that was
        self._ring = ring
        self._diff = diff
        self._pos = ring.n
        self._level = level  # after the last edge that was looked at
        self._wanted = (0, 1) if edges == "both" else (int(edges == "rising"),)
        self._quiet_us = quiet_us
        self._told: "Any" = None  # time of the last edge that is no bounce
        self._settled = level  # level that was told with it
        self._bounce: "Any" = None  # (time, level) of the last bounce since then

    def take(self, now: int) -> "tuple[int, int, int] | None":
        """Return (level, time, lost before it) of the next edge; None: there is none yet."""
        while True:
            edge = self._calm(now) if self._quiet_us else self._next()
            if edge is None:
                return None
            if edge[0] in self._wanted:
                lost, self.lost = self.lost, 0
                return edge[0], edge[1], lost

    def due(self, now: int) -> "int | None":
        """Microseconds until `take` has to be called without a further edge; None: never.

        There may be something then; and what has been told is forgotten, before the time comes
        round.
        """
        if self._told is None:
            return None
        return max(0, self._quiet_us - self._diff(now, self._told))

    def _next(self):
        """Return (level, time), as they were noted."""
        ring = self._ring
        while True:
            behind = (ring.n - self._pos) & _WRAP
            if not behind:
                return None
            if behind > _SIZE:
                self._skip(behind - _SIZE)
            x = ring.items[self._pos & (_SIZE - 1)]
            if (ring.n - self._pos) & _WRAP <= _SIZE:
                break  # it was not overwritten while we looked
        self._pos = (self._pos + 1) & _WRAP
        level = 0 if x < 0 else 1
        if level == self._level:
            self.lost += 1  # two edges in one interrupt
        self._level = level
        return level, x if level else ~x

    def _skip(self, n):
        self.lost += n
        self._pos = (self._pos + n) & _WRAP
        # What is behind the gap is as it should be.
        self._level = 1 - (0 if self._ring.items[self._pos & (_SIZE - 1)] < 0 else 1)

    def _calm(self, now):
        """Return (level, time) of the next edge that is no bounce."""
        while True:
            pos, level, lost = self._pos, self._level, self.lost
            edge = self._next()
            time = now if edge is None else edge[1]
            if self._told is not None and self._diff(time, self._told) >= self._quiet_us:
                bounce, self._bounce = self._bounce, None
                self._told = None
                if bounce is not None and bounce[1] != self._settled:
                    self._pos, self._level, self.lost = pos, level, lost  # once more
                    self._told, self._settled = bounce
                    return bounce[1], bounce[0]
            if edge is None:
                return None
            if self._told is not None:
                self._bounce = edge[1], edge[0]
            elif edge[0] != self._settled:
                self._settled, self._told = edge
                return edge
            self.lost = lost
