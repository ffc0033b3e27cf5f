"""Tells the user what happened to something that runs by itself; here on the console."""

import sys

__all__ = ("report",)


def report(text, exc=None):
    """Print a line, and the traceback of `exc`."""
    sys.stdout.write(text + "\n")
    if exc is not None:
        sys.print_exception(exc)
