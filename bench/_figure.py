"""What a benchmark returns: figures, and the bars that they have to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ("Bar", "Figure", "at_least", "at_most")


@dataclass(frozen=True)
class Bar:
    """A limit, in the unit of the figure; the limit itself is within."""

    kind: str
    limit: float

    def holds(self, value: float) -> bool:
        """True when `value` keeps it; a NaN never does."""
        return value <= self.limit if self.kind == "at most" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.kind} {self.limit:,.12g}"


def at_most(limit: float) -> Bar:
    """The bar for what should be small."""
    return Bar("at most", limit)


def at_least(limit: float) -> Bar:
    """The bar for what should be large."""
    return Bar("at least", limit)


@dataclass(frozen=True)
class Figure:
    """One result.

    Its name is that of its benchmark, or NAME.part for another one. A figure without a bar is
    there to explain the others.
    """

    name: str
    value: float
    unit: str
    bar: Bar | None = None

    @property
    def ok(self) -> bool:
        """False when the bar is missed."""
        return self.bar is None or self.bar.holds(self.value)

    def as_json(self) -> dict[str, Any]:
        """What bench.json holds for it."""
        bar = None if self.bar is None else str(self.bar)
        return {"value": self.value, "unit": self.unit, "bar": bar, "ok": self.ok}
