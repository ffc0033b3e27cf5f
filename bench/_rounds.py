"""Timing several things in turn, so that what slows the machine down meets them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping

__all__ = ("in_turn",)


async def in_turn(
    actions: Mapping[str, Callable[[], Awaitable[object]]],
    *,
    rounds: int,
    calls: int,
    warm_up: int = 100,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median duration of each action, in seconds.

    Every round makes `calls` calls of one action, then of the next one. The calls of the warm-up
    are not timed.
    """
    samples: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        for _ in range(warm_up):
            await action()
    for _ in range(rounds):
        for name, action in actions.items():
            for _ in range(calls):
                began = clock()
                await action()
                samples[name].append(clock() - began)
    return {name: statistics.median(times) for name, times in samples.items()}
