"""The time of day."""

from __future__ import annotations

import time

__all__ = ["unix_us"]


def unix_us() -> int:
    """Return microseconds since the beginning of 1970, UTC."""
    return time.time_ns() // 1000
