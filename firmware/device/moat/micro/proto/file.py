"""Byte streams over MicroPython's own streams, the console port among them; see stream.py."""

import select
from asyncio import core

from micropython import const

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.proto.base import BaseBuf

# Printed text that goes out ahead of a message: so many bytes at once, so many times at most.
_PIECE = const(256)
_PIECES = const(16)

CLOSED = "it is closed"


def _remove(self, task):
    """Forget a task that waits for a stream.

    In place of IOQueue's own method, which forgets with it the one that waits for the same stream
    in the other direction: nothing would ever wake that.
    """
    for waiting in self.map.values():
        for i in (0, 1):
            if waiting[i] is task:
                waiting[i] = None
                if waiting[1 - i] is None:
                    self._dequeue(waiting[2])
                else:
                    self.poller.modify(waiting[2], select.POLLIN if i else select.POLLOUT)
                return


core.IOQueue.remove = _remove


class FileBuf(BaseBuf):
    """A byte stream over any pollable MicroPython stream `s`; set it in `_ctx`.

    `out` is the stream to write to, where that is another one. Nothing is polled: reading and
    writing wait in the scheduler until the stream is ready.

    Args:
        bytewise: reading from `s` blocks until the buffer is full, as sys.stdin does: take a
            byte at a time while there are any.
    """

    out = None
    name = None  # for messages
    _bytewise = False
    _reading = False
    _piece = None  # bytes to write at once, and only if there is room: else `s` would block
    _rest = None  # what a cancelled write has left over; it goes first
    _poll = None

    def __init__(self, bytewise=False):
        self._bytewise = bytewise

    def __aenter__(self):
        """See Base.__aenter__."""
        if self._cm is None:
            self._rest = self._poll = None
        return BaseBuf.__aenter__(self)

    def rd(self, buf):
        """See BaseBuf.rd."""
        return self._read(self.s, buf)

    def wr(self, buf):
        """See BaseBuf.wr."""
        return self._write(self.out or self.s, buf)

    async def _read(self, s, buf):
        if s is None:
            raise self._lost(CLOSED)
        if self._reading:
            raise InUseError("somebody reads already")
        self._reading = True
        try:
            while True:
                yield core._io_queue.queue_read(s)
                if self.s is None:
                    raise self._lost(CLOSED)
                n = self._some(buf) if self._bytewise else s.readinto(buf)
                if n:
                    return n
                if n is not None:
                    raise EOFError
        except OSError as exc:
            raise self._lost(exc)
        finally:
            self._reading = False

    def _some(self, buf):
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.s, select.POLLIN)
        view = memoryview(buf)
        n = 0
        # A Ctrl-C is the last byte that we take: what follows may be for the REPL.
        while n < len(buf) and (n == 0 or (buf[n - 1] != 3 and self._poll.poll(0))):
            if not self.s.readinto(view[n : n + 1]):
                break
            n += 1
        return n

    async def _write(self, s, buf):
        if s is None:
            raise self._lost(CLOSED)
        try:
            if self._rest is None and self._piece is None:
                n = s.write(buf) or 0
                if n == len(buf):
                    return
            else:
                buf = (self._rest or b"") + buf
                n = 0
            while n < len(buf):
                self._rest = bytes(memoryview(buf)[n:])
                yield core._io_queue.queue_write(s)
                if self.s is None:
                    raise self._lost(CLOSED)
                n += s.write(self._rest[: self._piece]) or 0
            self._rest = None
        except OSError as exc:
            raise self._lost(exc)

    def _lost(self, why):
        return LinkLost("%s: %s" % (self.name, why) if self.name else str(why))


class StdioBuf(FileBuf):
    """The console port: stdin and stdout.

    In our images the module `_port` reads and writes it without blocking, and what print()
    writes while the port is open is not mixed in: `console` is the stream to read it from
    (None on stock firmware, where printed text goes out by itself; see firmware/stock).
    """

    console = None
    _port = None

    @rt.asynccontextmanager
    async def _ctx(self):
        import _port

        self._port = _port
        self.s, self.out, self.console = _port.inp, _port.out, _port.console
        if self.console is None:
            self._bytewise = True
        else:
            self._text = memoryview(bytearray(_PIECE))
        _port.capture(True)
        try:
            yield self
        finally:
            self.release()

    def wr(self, buf):
        """See BaseBuf.wr. What was printed before this goes first."""
        text = self._printed()
        return self._wr(text, buf) if text else FileBuf.wr(self, buf)

    async def _wr(self, text, buf):
        for _ in range(_PIECES):  # not for ever: some task may print on and on
            await FileBuf.wr(self, text)
            text = self._printed()
            if not text:
                break
        await FileBuf.wr(self, buf)

    def _printed(self):
        if self.console is None:
            return None
        n = self.console.readinto(self._text)
        return self._text[:n] if n else None

    async def printed(self):
        """Wait until something was printed; `wr` sends it."""
        yield core._io_queue.queue_read(self.console)

    def release(self):
        """Let print() write to the port itself again. Does no harm twice."""
        if self._port is not None:
            self._port.capture(False)

    def kbd_intr(self, char):
        """Set the byte that interrupts the program; -1: none. An operating system has signals."""
        if self._port is None or self._port.bare:
            from micropython import kbd_intr

            kbd_intr(char)

    def polled(self):
        """Return True if the event loop has looked for input since the last call."""
        return self._port.polled()

    def rescue(self):
        """Let a Ctrl-C interrupt the program until the event loop looks for input again."""
        self._port.rescue()

    def peek(self, buf, skip):
        """Copy input that waits to be read into `buf`, all but the first `skip` bytes of it.

        Returns its length; 0 where the operating system looks for a Ctrl-C.
        """
        return self._port.peek(buf, skip)

    def interrupt(self, n):
        """Drop the first `n` bytes of input, and raise KeyboardInterrupt in the program."""
        self._port.interrupt(n)
