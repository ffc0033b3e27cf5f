"""The far end of a device's link, byte by byte: for tests that send what no host would."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import anyio
from msgpack import packb, unpackb

from moat.micro.cmd._errors import from_wire
from moat.micro.cmd._wire import CALL, ERROR, HELLO, ID_BITS, REPLY, VERSION
from moat.micro.errors import LinkError
from moat.micro.proto._msgpack import PREFIX, Decoder
from moat.micro.proto.stack import BaseBuf

OWN = 0x12345678 | ID_BITS
_LIMIT = 1 << 20


def message(obj: object) -> bytes:
    """The bytes of a message."""
    return bytes([PREFIX]) + packb(obj)


def call(ident: int, path: list[Any], *args: object) -> bytes:
    """The bytes of a call."""
    return message([CALL, ident, path, packb(args)])


class Raw:
    """An async context manager around a link that is open already.

    `messages` are those that have not been taken, `text` is all other bytes.
    """

    def __init__(self, link: BaseBuf) -> None:
        self._link = link
        self._decoder = Decoder(_LIMIT, console=_LIMIT)
        self.messages: list[Any] = []
        self.text = b""
        self.ended = False
        self._news = anyio.Event()
        self._go = anyio.Event()
        self._go.set()

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._read)
        return self

    async def __aexit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(et, exc, tb)

    async def _read(self) -> None:
        buf = memoryview(bytearray(4096))
        while not self.ended:
            await self._go.wait()
            try:
                n = await self._link.rd(buf)
            except (EOFError, LinkError):
                self.ended = True
            else:
                self._take(buf[:n])
            self._news.set()
            self._news = anyio.Event()

    def _take(self, data: memoryview) -> None:
        self._decoder.feed(data)
        while (span := self._decoder.next()) is not None:
            self.messages.append(unpackb(span, strict_map_key=False))
        self.text += bytes(self._decoder.text)
        del self._decoder.text[:]

    def pause(self) -> None:
        """Read no more."""
        self._go = anyio.Event()

    def resume(self) -> None:
        """Read again."""
        self._go.set()

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        await self._link.wr(data)

    async def send(self, obj: object) -> None:
        """Send a message."""
        await self.write(message(obj))

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until `done()`; whatever arrives may make it true."""
        while not done():
            assert not self.ended, "the device has closed the link"
            await self._news.wait()

    async def end(self) -> None:
        """Wait until the device has closed the link."""
        while not self.ended:
            await self._news.wait()

    async def expect(self, text: bytes) -> None:
        """Wait until the device has printed `text`; forget that and what is before it."""
        await self.until(lambda: text in self.text)
        self.text = self.text.partition(text)[2]

    async def receive(self, *start: object) -> Any:
        """Wait for a message that starts with these elements, and take it."""
        n = len(start)

        def found() -> list[Any]:
            return [m for m in self.messages if isinstance(m, list) and m[:n] == list(start)]

        await self.until(lambda: bool(found()))
        msg = found()[0]
        self.messages.remove(msg)
        return msg

    async def hello(self, own: int = OWN) -> None:
        """Begin a session as the host with this id."""
        known, device = None, None
        while known != own:
            await self.send([HELLO, VERSION, own, device, _LIMIT, {}])
            device, known = (await self.receive(HELLO, VERSION))[2:4]
        await self.send([HELLO, VERSION, own, device, _LIMIT, {}])

    async def call(self, ident: int, path: list[Any], *args: object) -> None:
        """Send a call."""
        await self.write(call(ident, path, *args))

    async def reply(self, ident: int) -> Any:
        """Wait for the end of a call; returns its result, or raises its error."""
        await self.until(lambda: any(m[1:2] == [ident] for m in self._ends()))
        msg = next(m for m in self._ends() if m[1] == ident)
        self.messages.remove(msg)
        if msg[0] == ERROR:
            raise from_wire(msg[2])
        return unpackb(msg[2]) if len(msg) > 2 else None

    def _ends(self) -> list[Any]:
        return [m for m in self.messages if m[0] in (REPLY, ERROR)]
