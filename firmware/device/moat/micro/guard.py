"""Keeps the device interruptible while 0x03 is data.

A Ctrl-C interrupts the program, as on any MicroPython, until a host has introduced itself: a
hello contains no 0x03. Then the keyboard interrupt is off, and the reader looks for a Ctrl-C
between messages. A blocked event loop reads nothing: a timer, which works from an interrupt,
then switches the keyboard interrupt on until the loop runs again.
"""

from asyncio import ThreadSafeFlag

_CTRL_C = 3
_OFF = -1
_PERIOD_MS = 1000
_PERIODS = 3  # so long the loop may be blocked


class Guard:
    """Switches the keyboard interrupt of the console port `port` (a StdioBuf)."""

    def __init__(self, port):
        self._port = port
        self._timer = None
        self._task = None
        self._missed = 0
        self._alive = ThreadSafeFlag()
        self.inside = lambda: False  # is the reader in the middle of a message?
        self.start_soon = None  # of the task group of the stack

    def session(self, is_open):
        """A host has come or gone."""
        self._port.kbd_intr(_OFF if is_open else _CTRL_C)
        if is_open and self._timer is None:
            self._timer = _start_timer(self._tick)
            if self._timer is not None and self._task is None:
                self._task = self.start_soon(self._run)
        elif not is_open and self._timer is not None:
            self._timer.deinit()
            self._timer = None
        self._missed = 0

    def reset(self):
        """The event loop is gone, and its tasks with it."""
        self.session(False)
        self._task = None

    def _tick(self, _):
        self._missed += 1
        self._alive.set()
        if self._missed == _PERIODS:
            self._port.kbd_intr(_CTRL_C)
            # One that came before, and waits to be read.
            if not self.inside() and self._port.take_ctrl_c():
                raise KeyboardInterrupt

    async def _run(self):
        """Show that the loop is alive, each time the timer asks."""
        while True:
            await self._alive.wait()
            if self._missed >= _PERIODS and self._timer is not None:
                self._port.kbd_intr(_OFF)
            self._missed = 0


def _start_timer(callback):
    """Start a periodic timer, or return None where there is none that interrupts."""
    try:
        from _qemu import Timer
    except ImportError:
        return None
    return Timer(_PERIOD_MS, callback)
