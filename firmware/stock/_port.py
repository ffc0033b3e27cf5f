"""The C module of our images (firmware/native/port), in Python, for firmware that has it not.

What it cannot do: printed text goes out by itself, between messages; writing waits in the port;
and input that waits cannot be looked at. So, while the program blocks the event loop, a Ctrl-C of
the first two seconds is for the stack, which does not run; the next one interrupts.
"""

import sys
from asyncio import core

from _moat_image import IMAGE as image  # noqa: N811 -- as in the C module
from micropython import const, kbd_intr

__all__ = (
    "bare", "capture", "console", "dropped", "image", "inp", "interrupt", "out", "peek", "polled",
    "rescue", "restart",
)  # fmt: skip

_CTRL_C = const(3)
_OFF = const(-1)

bare = True
console = None
inp = sys.stdin.buffer
out = sys.stdout.buffer

_polled = _polling = _rescuing = False
_wait = core.IOQueue.wait_io_event


def _wait_io_event(self, dt):
    """In place of IOQueue's own: note that the event loop looks for input."""
    global _polled, _polling, _rescuing
    if _rescuing:
        _rescuing = False
        kbd_intr(_OFF)
    _polled = _polling = True
    _wait(self, dt)
    _polling = False


core.IOQueue.wait_io_event = _wait_io_event


def capture(on):
    """Begin, or end, to use the port."""
    global _polling, _rescuing
    _polling = _rescuing = False  # an interrupt may have left them
    return False


def polled():
    """Return True if the event loop has looked for input since the last call, or does now."""
    global _polled
    was, _polled = _polled, False
    return was or _polling


def rescue():
    """Let a Ctrl-C interrupt the program until the event loop looks for input again."""
    global _rescuing
    _rescuing = True
    kbd_intr(_CTRL_C)


def peek(buf, skip):
    """Return 0: input cannot be looked at without taking it."""
    return 0


def interrupt(n):
    """Interrupt the program; nothing calls this, as `peek` finds nothing."""
    raise KeyboardInterrupt


def dropped():
    """Return None: nobody counts what the port does not send."""


def restart():
    """Nothing: the end of the program is a soft reset."""
