"""What a device on the way adds to a call: sys.ping to a unix image, and to one behind it.

The host talks to the first one through pipes, that one to the second one through a Unix socket,
by a link app. Both calls are made in turn, on the same link of the host.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench._figure import Figure, at_most
from bench._rounds import in_turn
from tests.system import row

__all__ = ("measure",)


async def measure() -> list[Figure]:
    """The time that is added, as a ratio to that of one ping; the medians in microseconds."""
    with TemporaryDirectory() as folder:
        async with row.two(Path(folder), {}) as dev:

            async def near() -> Any:
                return await dev.sys.ping()

            async def far() -> Any:
                return await dev.next.sys.ping()

            median = await in_turn({"near": near, "far": far}, rounds=40, calls=50)
    added = median["far"] - median["near"]
    return [
        Figure("hop_unix", added / median["near"], "x one ping", at_most(1)),
        Figure("hop_unix.near", median["near"] * 1e6, "us"),
        Figure("hop_unix.far", median["far"] * 1e6, "us"),
    ]
