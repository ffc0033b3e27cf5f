"""An app whose commands do what the tests want to see."""

import sys
import time

from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd, DirCmd


class OwnError(Exception):
    """An exception that the host does not know."""


class Lamp(BaseCmd):
    """One of several nodes that look alike."""

    def __init__(self, n):
        self.n = n

    async def cmd_number(self):
        """Return its number."""
        return self.n


class App(DirCmd):
    """Calls, streams, errors, text."""

    def __init__(self):
        super().__init__({"lamps": DirCmd({0: Lamp(0), 1: Lamp(1)})})
        self.running = 0

    async def cmd_add(self, a, b=1):
        """Return the sum."""
        return a + b

    async def cmd_size(self, data):
        """Return the length of `data`, and how many of its bytes are 3."""
        return [len(data), sum([c == 3 for c in data])]

    async def cmd_fail(self, name, *args):
        """Raise a built-in exception."""
        raise {"ValueError": ValueError, "OSError": OSError, "KeyError": KeyError}[name](*args)

    async def cmd_fail_own(self):
        """Raise an exception of our own."""
        raise OwnError("too", 4)

    async def cmd_object(self):
        """Return what cannot be encoded."""
        return self

    async def cmd_say(self, text, n=1):
        """Print `text`, as many times as is asked for."""
        for _ in range(n):
            print(text)
            await rt.sleep_ms(0)

    async def cmd_write(self, data):
        """Write bytes to stdout."""
        sys.stdout.buffer.write(data)

    async def cmd_shout(self, text, n, file=None):
        """Print `text` many times without giving way; then make a file."""
        for _ in range(n):
            print(text)
        if file is not None:
            open(file, "w").close()

    async def cmd_wait(self, tag):
        """Wait for ever; print that it has begun and ended."""
        self.running += 1
        print("<%s begins>" % tag)
        try:
            await rt.Event().wait()
        finally:
            self.running -= 1
            print("<%s ends>" % tag)

    async def cmd_running(self):
        """Return how many calls wait for ever."""
        return self.running

    async def cmd_busy(self, text="<busy>"):
        """Never give way."""
        print(text)
        while True:
            pass

    async def cmd_block(self, ms):
        """Do not give way for some time."""
        print("<blocked>")
        time.sleep_ms(ms)
        return ms

    async def stream_count(self, st, n, fail=None):
        """Send the numbers below `n`, then fail if that is asked for."""
        for i in range(n):
            await st.send(i)
        if fail is not None:
            raise ValueError(fail)
        return "counted"

    async def stream_on(self, st, tag, size=None):
        """Send numbers, or `size` bytes, for ever; print that it has ended."""
        n = 0
        try:
            while True:
                await st.send(n if size is None else bytes(size))
                n += 1
        finally:
            print("<%s ends at %d>" % (tag, n))

    async def stream_sum(self, st):
        """Add what the caller sends; send each sum."""
        total = 0
        async for value in st:
            total += value
            await st.send(total)
        return total
