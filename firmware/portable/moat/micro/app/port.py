"""The app that is a channel: its commands read and write what the channel carries.

Its settings are those of stacks.build_stack; `carries` says which commands it takes:

    messages    w, r        any object
    blocks      wr, rd      one block each
    bytes       wr, rd
    any         cwr, crd    the console beside it, where there is one

All have the form of a stream, too. The channel is opened when the app starts, and again whenever
it has broken unless `reconnect` is false: who reads is told then (LinkReset), and who writes
waits. A few items are read ahead; console text comes in along with them.
"""

from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const
from moat.micro.errors import InUseError, LinkError, LinkLost, LinkReset, MessageTooLongError
from moat.micro.stacks import build_stack

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_AHEAD = const(4)  # items
_CHUNK = const(256)  # bytes that are read at once
_CONSOLE = const(1024)

_USE = {"blocks": "wr and rd", "bytes": "wr and rd", "messages": "w and r"}


class PortCmd(BaseCmd):
    """Reads and writes a channel.

    Of its readers one reads at a time, and of those of the console: else InUseError. Writers wait
    for each other. A read that is cancelled takes nothing. When the channel has ended, reading
    raises EOFError or LinkLost; writing LinkLost.
    """

    wait_ms = 100

    def __init__(self, settings: "dict[str, Any]") -> None:
        cfg = dict(settings)
        cfg.setdefault("reconnect", True)
        self._stack = build_stack(cfg, keep_trying=True)
        self._carries = cfg.get("carries", "messages")
        self._buf = bytearray(_CHUNK if self._carries == "bytes" else 0)
        self._setup()

    def _setup(self):
        self._s: "Any" = None  # the open channel
        self._items: "list[Any]" = []  # what has arrived; a LinkReset where the link was replaced
        self._ended: "BaseException | None" = None  # why nothing more arrives
        self._closed = False
        self._text = b""  # of the console, that a stream could not send
        self._readers: "list[str]" = []  # of what
        self._changed = rt.Event()  # one of these
        self._room = rt.Event()
        self._lock = rt.Lock()
        self._scopes: "list[Any]" = []  # of calls that are in the channel

    async def run(self) -> None:
        """Keep the channel, and read from it. LinkError: it cannot be opened."""
        try:
            async with self._stack as s:
                self._begin(s)
                await self._pump(s)
        finally:
            self._end()

    def _begin(self, s):
        self._s = s
        self._changed.set()

    def _end(self):
        self._s = None
        self._closed = True
        if self._ended is None:
            self._ended = LinkLost("the port was closed")
        self._changed.set()
        for scope in self._scopes:
            scope.cancel()

    async def _pump(self, s):
        get = {"blocks": self._block, "bytes": self._bytes, "messages": _message}[self._carries]
        while True:
            while len(self._items) >= _AHEAD:
                self._room.clear()
                await self._room.wait()
            try:
                item = await get(s)
            except LinkReset as exc:
                item = exc
            except MemoryError:
                item = LinkReset("what has arrived was too much for the memory")
            except (EOFError, LinkError) as exc:
                self._ended = exc
                self._changed.set()
                break
            self._items.append(item)
            self._changed.set()
        await rt.Event().wait()  # there may be something to be written

    async def _bytes(self, s):
        n = await s.rd(self._buf)
        return bytes(self._buf[:n])

    async def _block(self, s):
        return bytes(await s.rcv())

    # ---- what the commands are made of

    def _need(self, *kinds):
        """Check that the channel carries one of these."""
        if self._carries not in kinds:
            raise NotImplementedError(
                "this port carries %s: use %s" % (self._carries, _USE[self._carries])
            )

    async def _change(self):
        self._changed.clear()
        await self._changed.wait()

    async def _use(self, name, *args):
        """Call a method of the channel once that is open."""
        while self._s is None and not self._closed:
            await self._change()
        if self._s is None:
            raise LinkLost("the port was closed")
        with rt.CancelScope() as scope:
            self._scopes.append(scope)
            try:
                return await getattr(self._s, name)(*args)
            finally:
                self._scopes.remove(scope)
        raise LinkLost("the port was closed")

    async def _write(self, data):
        _check_bytes(data)
        if self._carries == "blocks":
            await self._use("snd", data)
        else:
            async with self._lock:
                await self._use("wr", data)

    @rt.asynccontextmanager
    async def _reader(self, what="port"):
        """Be the one who reads. InUseError: somebody does already."""
        try:
            # One that was cancelled just now may still be about to leave.
            async with rt.timeout_ms(self.wait_ms):
                while what in self._readers:
                    await self._change()
        except rt.TimeoutError:
            raise InUseError("somebody reads from this %s already" % what)
        self._readers.append(what)
        try:
            yield self
        finally:
            self._readers.remove(what)
            self._changed.set()

    async def _next(self, n):
        """Wait for the next item; it is still to be taken. Of bytes: up to `n` of them."""
        _check_n(n)
        while not self._items:
            if self._ended is not None:
                raise type(self._ended)(*self._ended.args)
            await self._change()
        item = self._items[0]
        if isinstance(item, LinkReset):
            self._take(item)
            raise item
        if n is None or self._carries == "messages" or len(item) <= n:
            return item
        if self._carries == "blocks":
            raise ValueError("the block has %d bytes, more than n=%d; it is kept" % (len(item), n))
        return item[:n]

    def _take(self, item):
        """Remove what `_next` has returned."""
        first = self._items[0]
        if (
            self._carries == "bytes"
            and not isinstance(first, LinkReset)
            and len(first) > len(item)
        ):
            self._items[0] = first[len(item) :]
        else:
            self._items.pop(0)
            self._room.set()

    async def _read(self, n):
        async with self._reader():
            item = await self._next(n)
            self._take(item)
            return item

    async def _read_on(self, st, n):
        async with self._reader():
            while True:
                try:
                    item = await self._next(n)
                except EOFError:
                    return
                try:
                    await st.send(item)
                except (MessageTooLongError, TypeError):  # it will never fit
                    self._take(item)
                    raise
                self._take(item)

    async def _console(self, n):
        """Wait for console text; it is still to be taken from `_text`."""
        _check_n(n)
        if not self._text:
            buf = bytearray(min(n or _CONSOLE, _CONSOLE))
            n = await self._use("crd", buf)
            self._text = bytes(buf[:n])
        return self._text[:n]

    # ---- the commands

    async def cmd_w(self, m: "Any") -> None:
        """Send a message."""
        self._need("messages")
        await self._use("send", m)

    async def cmd_r(self) -> "Any":
        """Wait for the next message and return it."""
        self._need("messages")
        return await self._read(None)

    async def cmd_wr(self, b: bytes) -> None:
        """Send bytes; on a channel of blocks they are one block."""
        self._need("blocks", "bytes")
        await self._write(b)

    async def cmd_rd(self, n: int = 64) -> bytes:
        """Wait for bytes and return up to `n` of them, or one block.

        ValueError: the block is longer than `n`; the next one who reads gets it.
        """
        self._need("blocks", "bytes")
        return await self._read(n)

    async def cmd_cwr(self, b: bytes) -> None:
        """Send console text."""
        _check_bytes(b)
        await self._use("cwr", b)

    async def cmd_crd(self, n: int = 64) -> bytes:
        """Wait for console text and return up to `n` bytes of it."""
        async with self._reader("console"):
            text = await self._console(n)
            self._text = self._text[len(text) :]
            return text

    async def stream_w(self, st: "Any") -> None:
        """Send the values as messages."""
        self._need("messages")
        async for m in st:
            await self._use("send", m)

    async def stream_r(self, st: "Any") -> None:
        """Send all messages that arrive, until the channel ends."""
        self._need("messages")
        await self._read_on(st, None)

    async def stream_wr(self, st: "Any") -> None:
        """Send the values, which are bytes; on a channel of blocks each is a block."""
        self._need("blocks", "bytes")
        async for b in st:
            await self._write(b)

    async def stream_rd(self, st: "Any", n: "int | None" = None) -> None:
        """Send all bytes as they arrive, at most `n` at once, or blocks, until the channel ends.

        ValueError: a block is longer than `n`; the next one who reads gets it.
        """
        self._need("blocks", "bytes")
        await self._read_on(st, n)

    async def stream_cwr(self, st: "Any") -> None:
        """Send the values as console text."""
        async for b in st:
            await self.cmd_cwr(b)

    async def stream_crd(self, st: "Any", n: int = 256) -> None:
        """Send all console text as it arrives, at most `n` bytes at once."""
        async with self._reader("console"):
            while True:
                try:
                    text = await self._console(n)
                except EOFError:
                    return
                await st.send(text)
                self._text = self._text[len(text) :]


def _check_n(n):
    if n is not None and n < 1:
        raise ValueError("n has to be positive")


def _check_bytes(data):
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError("bytes are needed, not %s" % type(data).__name__)


async def _message(s):
    return await s.recv()
