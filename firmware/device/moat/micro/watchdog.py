"""Resets the board when its main loop has been blocked for too long.

The config says how long, in milliseconds: ``{"watchdog": 5000}``. It is the board's own watchdog,
so it also helps when MicroPython itself is stuck. Once started it runs until the board is reset;
on RP2 a soft reset ends it, too.

After a Ctrl-C, at the REPL, a timer feeds it: who is there wants no reset in the middle.
"""

import machine
from micropython import const

from moat.micro import rt

_LEAST_MS = const(500)  # a collection, or a sector of flash, takes a part of this

_dog = _timer = None
_ms = 0


def start(ms):
    """Start it; returns the function that feeds it, a task. ValueError: so long makes no sense."""
    global _dog, _ms, _timer
    if type(ms) is not int or ms < _LEAST_MS:
        raise ValueError("watchdog: %r is not milliseconds, at least %d" % (ms, _LEAST_MS))
    try:
        _dog = machine.WDT(timeout=ms)
    except (AttributeError, ValueError) as exc:
        raise ValueError("watchdog: %s" % exc)
    _ms = ms
    if _timer is not None:
        _timer.deinit()
        _timer = None
    return _feed


async def _feed():
    ms = _ms
    while True:
        _dog.feed()
        await rt.sleep_ms(ms // 4)


def rest():
    """Somebody has interrupted the loop: feed it without."""
    global _timer  # a timer that nobody keeps ends with the next collection
    if _dog is not None and _timer is None:
        _timer = machine.Timer(period=_ms // 4, callback=_fed)


def _fed(_):
    _dog.feed()
