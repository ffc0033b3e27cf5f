"""Where the Log layers write to on a device, unless told otherwise."""

from moat.micro.proto._log import Lines

__all__ = ("default_sink",)


def default_sink(name):
    """Return a sink that prints a line for each event; see `_log`.

    What is printed goes to the console; short lines, as the line to the host may be slow.
    """
    return Lines(print, name, 80)
