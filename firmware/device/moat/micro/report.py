"""Tells the user what happened to something that runs by itself; on the console and in the log."""

import sys

__all__ = ("report",)


def report(text, exc=None):
    """Print a line, and the traceback of `exc`; log both in one line."""
    sys.stdout.write(text + "\n")
    if exc is not None:
        sys.print_exception(exc)
        text = "%s: %s: %s" % (text, type(exc).__name__, exc)
    from moat.micro.log import warning

    warning(text)
