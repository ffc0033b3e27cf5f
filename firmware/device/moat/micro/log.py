"""What the device has to tell: a few records, kept until somebody reads them with sys.log."""

import sys

from moat.micro._records import LEVELS, Records
from moat.micro.clock import unix_us

__all__ = ("debug", "error", "failed", "info", "records", "warning")

_KEPT = 16
_WIDTH = 160  # characters of a text

_records = None


def records():
    """Return the records."""
    global _records
    if _records is None:
        _records = Records(_KEPT, _WIDTH)
    return _records


def _log(name, text, args):
    try:
        if args:
            text %= args
    except (TypeError, ValueError):  # whoever reports an error shall not fail with another one
        text = "%s %s" % (text, args)
    records().put(LEVELS[name], unix_us(), text)


def debug(text, *args):
    """Tell what only a developer wants to know; `args` as for %."""
    _log("debug", text, args)


def info(text, *args):
    """Tell what has happened."""
    _log("info", text, args)


def warning(text, *args):
    """Tell what may lead to an error."""
    _log("warning", text, args)


def failed(what, exc):
    """Tell of an exception that ends nothing else; its traceback goes to the console."""
    sys.stdout.write(what + ": ")
    sys.print_exception(exc)
    error("%s: %s: %s", what, type(exc).__name__, exc)


def error(text, *args):
    """Tell what has failed."""
    _log("error", text, args)
