"""Many calls at once, and streams of small values, on the unix image.

Against the bare loop of ping_unix, one call after the other, and against our own ping.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from bench._figure import Figure, at_least
from bench._speed import speedy
from bench.ping_unix import bare_loop
from moat.micro.device import Device

__all__ = ("measure",)

_ROUNDS = 15
_CALLS = 512
_VALUES = 2000


async def measure() -> list[Figure]:
    """Rates as ratios, medians over rounds in which each had its turn."""
    async with speedy() as dev, bare_loop() as bare:
        actions: dict[str, Callable[[], Awaitable[int]]] = {
            "bare": lambda: _callers(bare, 1),
            "1": lambda: _callers(dev.sys.ping, 1),
            "8": lambda: _callers(dev.sys.ping, 8),
            "64": lambda: _callers(dev.sys.ping, 64),
            "stream": lambda: _stream(dev),
        }
        rate = await _rates(actions)
    return [
        Figure("many_unix.8", rate["8"] / rate["bare"], "x bare JSON loop", at_least(1.3)),
        Figure("many_unix.64", rate["64"] / rate["bare"], "x bare JSON loop", at_least(1.6)),
        Figure("many_unix.stream", rate["stream"] / rate["1"], "x ping", at_least(4)),
        *(Figure(f"many_unix.rate_{name}", rate[name], "1/s") for name in rate),
    ]


async def _rates(actions: dict[str, Callable[[], Awaitable[int]]]) -> dict[str, float]:
    samples: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(_ROUNDS):
        for name, action in actions.items():
            began = time.perf_counter()
            n = await action()
            samples[name].append(n / (time.perf_counter() - began))
    return {name: statistics.median(rates) for name, rates in samples.items()}


async def _callers(call: Callable[[], Any], callers: int) -> int:
    async def run() -> None:
        for _ in range(_CALLS // callers):
            await call()

    async with anyio.create_task_group() as tasks:
        for _ in range(callers):
            tasks.start_soon(run)
    return _CALLS


async def _stream(dev: Device) -> int:
    n = 0
    async with dev.speed.numbers(_VALUES) as st:
        async for _ in st:
            n += 1
    return n
