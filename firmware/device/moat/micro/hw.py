"""The hardware of the board, for portable code: the one place that names `machine` and `network`.

The host's hw.py has the same names, with a simulated board behind them.
"""

__all__ = ("Flag", "network", "part")


def __getattr__(name):
    """Load what few apps need."""
    global Flag
    if name != "Flag":
        raise AttributeError(name)
    from asyncio import ThreadSafeFlag as Flag

    return Flag


def part(name):
    """Return a class or function of `machine`. NotImplementedError: this board has none."""
    try:
        return getattr(__import__("machine"), name)
    except (AttributeError, ImportError):
        raise NotImplementedError("this board has no machine.%s" % name)


def network():
    """Return the module `network`. NotImplementedError: this board has none."""
    try:
        return __import__("network")
    except ImportError:
        raise NotImplementedError("this board has no network")
