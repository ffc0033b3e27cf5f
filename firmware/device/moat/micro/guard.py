"""Keeps the device interruptible while 0x03 is data.

A Ctrl-C interrupts the program, as on any MicroPython, until a host has introduced itself: a
hello contains no 0x03. Then the keyboard interrupt is off, and the reader looks for a Ctrl-C
between messages. A blocked event loop reads nothing. Then a timer, which works from an
interrupt, looks for a Ctrl-C between the messages that wait to be read; and when that has gone
on for long, it switches the keyboard interrupt on until the loop runs again.
"""

from micropython import const

_CTRL_C = const(3)
_OFF = const(-1)
_PERIOD_MS = const(1000)
# Whole periods that the loop has been blocked.
_LOOK = const(1)
_GIVE_UP = const(2)


class Guard:
    """Switches the keyboard interrupt of the console port.

    Args:
        port: the port, a StdioBuf.
        look_ahead: function that returns a Decoder in the state of the reader's.
    """

    def __init__(self, port, look_ahead):
        self._port = port
        self._look_ahead = look_ahead
        self._timer = None
        self._blocked = 0
        self._scan = None

    def session(self, is_open):
        """A host has come or gone."""
        self._port.kbd_intr(_OFF if is_open else _CTRL_C)
        if is_open and self._timer is None:
            self._timer = _start_timer(self._tick)
        elif not is_open and self._timer is not None:
            self._timer.deinit()
            self._timer = None

    def _tick(self, _):
        # No task, and no flag that one waits for: a task that is woken at any time can keep
        # what ran just before it in memory, see rt.
        if self._port.polled():
            self._blocked = 0
            self._scan = None
            return
        self._blocked += 1
        if self._blocked == _GIVE_UP:  # first of all: the rest needs memory
            self._port.rescue()
        if self._blocked == _LOOK:
            self._scan = _Scan(self._port, self._look_ahead())
        if self._scan is not None:
            self._scan.look(self._blocked >= _GIVE_UP)


class _Scan:
    """Looks through the input of `port` without taking it."""

    def __init__(self, port, decoder):
        self._port = port
        self._decoder = decoder
        self._buf = bytearray(64)
        self._seen = 0

    def look(self, broken_too):
        """Interrupt the program if there is a Ctrl-C outside of messages.

        Or, with `broken_too`, in what a host that is gone has left of one.
        """
        decoder = self._decoder
        before = self._seen
        while not decoder.ctrl_c:
            n = self._port.peek(self._buf, self._seen)
            if not n:
                break
            n = self._buf.find(b"\x03", 0, n) + 1 or n
            decoder.feed(self._buf[:n])
            self._seen += n
            _drain(decoder)
        at = -1
        if self._seen == before and not decoder.ctrl_c:
            # What has not come in a whole period will not come.
            rest = decoder.text
            rest[:] = b""
            decoder.expire()
            _drain(decoder)
            at = rest.find(b"\x03")
        if decoder.ctrl_c:
            decoder.ctrl_c = False
            self._port.interrupt(self._seen)
            self._seen = 0
        elif broken_too and at >= 0:
            self._port.interrupt(max(0, self._seen - len(rest)) + at + 1)
            self._seen = 0


def _drain(decoder):
    while decoder.next() is not None:
        pass


def _start_timer(callback):
    """Start a periodic timer, or return None where there is none that interrupts."""
    try:
        from _qemu import Timer
    except ImportError:
        try:
            from machine import Timer
        except (AttributeError, ImportError):
            return None
        try:
            return Timer(period=_PERIOD_MS, callback=callback)
        except (TypeError, ValueError):  # on ESP32 it has to be one of the chip's timers
            return Timer(0, period=_PERIOD_MS, callback=callback)
    return Timer(_PERIOD_MS, callback)
