"""What the stack, and portable apps, have to tell: on the host it goes to Python's logging."""

from __future__ import annotations

import logging
from functools import cache

from moat.micro._records import Records

__all__ = ["debug", "error", "failed", "info", "records", "warning"]

_KEPT = 256
_WIDTH = 1000  # characters of a text

_logger = logging.getLogger("moat.micro")

debug = _logger.debug
info = _logger.info
warning = _logger.warning
error = _logger.error


def failed(what: str, exc: BaseException) -> None:
    """Tell of an exception that ends nothing else."""
    _logger.error("%s: %s: %s", what, type(exc).__name__, exc, exc_info=exc)


class _Keep(logging.Handler):
    """Keeps records for those who read them with the command `log`.

    A record of another thread is seen when the next one comes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records = Records(_KEPT, _WIDTH, logging.NOTSET)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.records.put(record.levelno, int(record.created * 1e6), record.getMessage())
        except Exception:  # logging's habit
            self.handleError(record)


@cache
def records() -> Records:
    """Return what the loggers "moat.micro…" have told since this was called first.

    Which levels are recorded is up to logging, see `logging.Logger.setLevel`.
    """
    handler = _Keep()
    _logger.addHandler(handler)
    return handler.records
