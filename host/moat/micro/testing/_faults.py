"""Decides what a bad line does to what is sent over it; no clock, no I/O.

The same seed, units and times give the same result. What happens to single bytes depends on
their position in all of the data, not on how these are cut into units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from random import Random
from typing import Any

__all__ = ["Counts", "Faults", "Injector"]

_ORDER_MS = 1e-6  # more than what a clock in floating point rounds off


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What one direction of a line does. A unit is a message, a block, or the bytes of one wr.

    Probabilities, from 0 to 1:

    Args:
        loss: that a unit is lost.
        duplicate: that a unit arrives twice.
        reorder: that a unit is held back, so that later ones overtake it.
        reorder_ms: for how long at most.
        flip: of each byte, that one of its bits is wrong. Not for messages.
        drop: of each byte, that it is missing. Not for messages.
        delay_ms: how long a unit is on its way; a pair is the least and the most. Units stay in
            order unless they are held back.
        rate: bytes per second (of messages: messages per second) that the line carries, and
            for which a writer waits; 0: any number.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 20.0
    flip: float = 0.0
    drop: float = 0.0
    delay_ms: float | tuple[float, float] = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError when a value makes no sense."""
        for name in ("loss", "duplicate", "reorder", "flip", "drop"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, from 0 to 1")
        least, most = self.delays
        if not 0 <= least <= most or self.reorder_ms < 0 or self.rate < 0:
            raise ValueError("a time or a rate is negative, or the most less than the least")

    @property
    def delays(self) -> tuple[float, float]:
        """The least and the most of the delay, in milliseconds."""
        delay = self.delay_ms
        return delay if isinstance(delay, tuple) else (delay, delay)


@dataclass
class Counts:
    """What was done to one direction."""

    units: int = 0
    lost: int = 0
    cut: int = 0
    """Units that were lost because the line was cut."""
    duplicated: int = 0
    reordered: int = 0
    flipped: int = 0
    """Bytes with a wrong bit."""
    dropped: int = 0
    """Bytes."""

    @property
    def faults(self) -> int:
        """The sum of all that went wrong."""
        return sum(getattr(self, field.name) for field in fields(self)) - self.units


class Injector:
    """One direction of a bad line.

    Args:
        faults: what it does. May be set anew at any time.
        seed: of the random numbers; the directions of a line have different ones.
        of_bytes: the units are bytes; else they are messages, of which single bytes are not
            known: ValueError when `faults` has some for these.
    """

    def __init__(self, faults: Faults, seed: object, of_bytes: bool = True) -> None:
        self._of_bytes = of_bytes
        self.counts = Counts()
        self.is_cut = False
        # One for each fault: the chance of one does not change where the others happen.
        self._random = {
            name: Random(f"{seed}/{name}")
            for name in ("loss", "duplicate", "reorder", "delay", "flip", "bit", "drop")
        }
        self._flips = _Bytes(self._random["flip"])
        self._drops = _Bytes(self._random["drop"])
        self._free_ms = -math.inf  # when the line has carried what it was given
        self._last_ms = -math.inf  # when the last unit in order arrives
        self.faults = faults

    @property
    def faults(self) -> Faults:
        """What the line does."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        if not self._of_bytes and (faults.flip or faults.drop):
            raise ValueError("a message has no bytes that could be wrong or missing")
        self._faults = faults
        self._flips.chance = faults.flip
        self._drops.chance = faults.drop

    def feed(self, unit: Any, now_ms: float) -> list[tuple[float, Any]]:
        """Send a unit; returns what arrives of it, each with the milliseconds from now."""
        faults, counts = self._faults, self.counts
        counts.units += 1
        start_ms = self._carry(unit, now_ms)
        lost, twice = self._happens("loss"), self._happens("duplicate")
        if self.is_cut:
            counts.cut += 1
            return []
        if lost:
            counts.lost += 1
            return []
        if (faults.flip or faults.drop) and unit:
            unit = self._damage(unit)
            if not unit:
                return []
        counts.duplicated += twice
        return [(self._arrival(start_ms, now_ms) - now_ms, unit) for _ in range(1 + twice)]

    def busy_ms(self, now_ms: float) -> float:
        """Return for how long the line is carrying what it was given."""
        return max(0.0, self._free_ms - now_ms)

    def _happens(self, fault: str) -> bool:
        return self._random[fault].random() < getattr(self._faults, fault)

    def _carry(self, unit: Any, now_ms: float) -> float:
        """Return when the line has carried the unit."""
        if not self._faults.rate:
            return now_ms
        size = len(unit) if self._of_bytes else 1
        self._free_ms = max(now_ms, self._free_ms) + size * 1000 / self._faults.rate
        return self._free_ms

    def _arrival(self, start_ms: float, now_ms: float) -> float:
        due_ms = start_ms + self._random["delay"].uniform(*self._faults.delays)
        if self._happens("reorder"):
            self.counts.reordered += 1
            return due_ms + self._random["reorder"].uniform(0, self._faults.reorder_ms)
        if self._last_ms > now_ms:  # it is behind another one, also after rounding
            due_ms = max(due_ms, self._last_ms + _ORDER_MS)
        self._last_ms = due_ms
        return due_ms

    def _damage(self, unit: bytes) -> bytes:
        data = bytearray(unit)
        for at in self._flips.hit(len(data)):
            data[at] ^= 1 << self._random["bit"].randrange(8)
            self.counts.flipped += 1
        for at in reversed(self._drops.hit(len(data))):
            del data[at]
            self.counts.dropped += 1
        return bytes(data)


class _Bytes:
    """Chooses single bytes of a stream, each with the same chance, whatever its chunks."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.chance = 0.0

    @property
    def chance(self) -> float:
        """The probability."""
        return self._chance

    @chance.setter
    def chance(self, chance: float) -> None:
        self._chance = chance
        self._next = self._gap()

    def hit(self, size: int) -> list[int]:
        """Return which of the next `size` bytes."""
        hits: list[int] = []
        while self._next < size:
            hits.append(int(self._next))
            self._next += 1 + self._gap()
        self._next -= size
        return hits

    def _gap(self) -> float:
        """Return the number of bytes to the next one, of a geometric distribution."""
        if self._chance <= 0:
            return math.inf
        if self._chance >= 1:
            return 0
        return math.floor(math.log(1 - self._random.random()) / math.log1p(-self._chance))
