"""What tests of this folder share; it runs on CPython and on MicroPython."""

import sys

from moat.micro import rt

ON_DEVICE = sys.implementation.name == "micropython"


class raises:  # noqa: N801 -- pytest's name for it
    """Context manager: its body has to raise one of `types`; the error is then `exc`."""

    def __init__(self, *types):
        self.types = types
        self.exc = None

    def __enter__(self):
        return self

    def __exit__(self, et, exc, tb):
        assert exc is not None, "nothing was raised"
        self.exc = exc
        return isinstance(exc, self.types)


async def until(condition):
    """Give way to the other tasks until `condition()` is true."""
    while not condition():
        await rt.sleep_ms(0)


async def settle():
    """Give way until what can run has run."""
    for _ in range(10):
        await rt.sleep_ms(0)


async def forever(log=None, name="ended"):
    """Wait to be cancelled; append `name` to `log` when that happens."""
    try:
        while True:
            await rt.sleep_ms(10000)
    finally:
        if log is not None:
            log.append(name)


async def fail(exc):
    """Raise `exc`."""
    raise exc
