"""Tells the user what happened to something that runs by itself; here in the log."""

from __future__ import annotations

import logging

__all__ = ("report",)

_logger = logging.getLogger("moat.micro")


def report(text: str, exc: BaseException | None = None) -> None:
    """Log a line, with the traceback of `exc`."""
    _logger.warning("%s", text, exc_info=exc)
