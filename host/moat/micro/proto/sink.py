"""Where the Log layers write to on the host, unless told otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from moat.micro.proto._log import Lines

__all__ = ["default_sink"]


def default_sink(name: str) -> Callable[[int, str, Any, BaseException | None], None]:
    """Return a sink that logs a line for each event; see `_log`.

    The logger is "moat.micro.log", or "moat.micro.log.NAME", the level DEBUG.
    """
    logger = logging.getLogger("moat.micro.log" + ("." + name if name else ""))
    lines = Lines(logger.debug, "")

    def sink(ticks: int, op: str, data: Any, exc: BaseException | None) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            lines(ticks, op, data, exc)

    return sink
