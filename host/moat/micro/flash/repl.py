"""MicroPython's raw REPL: running code on a board without our stack.

The exchange is in MicroPython's documentation ("The MicroPython Interactive Interpreter Mode",
Raw mode): Ctrl-A enters, Ctrl-D runs what was sent, the reply is OK, the output, 04, an error's
traceback, 04. Ctrl-B leaves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from moat.micro.errors import LinkError, MoatError
from moat.micro.proto.stack import BaseBuf

__all__ = ("RawRepl", "ReplError", "raw_repl")

_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_TRY_S = 1.0
_OPEN_TRIES, _OPEN_S = 5, 0.3
_PIECE = 128  # a port's buffer takes so much, even where nothing holds us back


class ReplError(MoatError):
    """There is no REPL, or the code has failed."""


class RawRepl:
    """The raw REPL at the far end of a byte stream; see raw_repl."""

    def __init__(self, link: BaseBuf, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._got = b""

    async def enter(self) -> None:
        """Interrupt what runs until the raw REPL is there.

        Raises:
            ReplError: it is not.
            LinkError, EOFError: the link has ended.
        """
        try:
            with anyio.fail_after(self._timeout):
                while True:
                    await self._link.wr(b"\r\x03\x03\r\x01")
                    with anyio.move_on_after(_TRY_S):
                        await self._until(_BANNER)
                        break
        except TimeoutError:
            raise ReplError("there is no REPL") from None
        self._got = b""

    async def run(self, code: str) -> str:
        """Run code; returns what it has printed.

        Raises:
            ReplError: its error, or there is no answer in time.
        """
        await self.send(code)
        try:
            with anyio.fail_after(self._timeout):
                out = await self._until(b"\x04")
                error = await self._until(b"\x04")
                await self._until(b">")
        except TimeoutError:
            raise ReplError("the REPL does not answer") from None
        except (EOFError, LinkError) as exc:
            raise ReplError(f"the REPL has gone: {exc or 'the link has ended'}") from None
        if error:
            raise ReplError(error.decode(errors="replace").strip().splitlines()[-1])
        return out.decode(errors="replace").replace("\r\n", "\n")

    async def send(self, code: str) -> None:
        """Have code run, and do not wait for its end.

        Raises:
            ReplError: it has not been taken.
        """
        data = code.encode() + b"\x04"
        try:
            with anyio.fail_after(self._timeout):
                for at in range(0, len(data), _PIECE):
                    await self._link.wr(data[at : at + _PIECE])
                await self._until(b"OK")
        except TimeoutError:
            raise ReplError("the REPL does not take the code") from None
        except (EOFError, LinkError) as exc:
            raise ReplError(f"the REPL has gone: {exc or 'the link has ended'}") from None

    async def reset(self) -> None:
        """Reset the board, as power-on does; returns when the link has ended.

        Raises:
            ReplError: it has not been taken.
        """
        await self.send("import time, machine\ntime.sleep_ms(100)\nmachine.reset()")
        try:
            with anyio.move_on_after(self._timeout):  # or it stays, as that of a UART does
                while True:
                    await self._link.rd(bytearray(256))
        except (EOFError, LinkError):
            pass

    async def leave(self) -> None:
        """Back to the normal REPL, if there still is one."""
        try:
            with anyio.move_on_after(_TRY_S):
                await self._link.wr(b"\x02")
        except LinkError:
            pass  # the board has gone

    async def _until(self, mark: bytes) -> bytes:
        """Read up to `mark`; returns what is before it."""
        buf = bytearray(256)
        while mark not in self._got:
            n = await self._link.rd(buf)
            self._got += buf[:n]
        before, _, self._got = self._got.partition(mark)
        return before


@asynccontextmanager
async def raw_repl(link: BaseBuf, timeout: float = 5) -> AsyncGenerator[RawRepl]:
    """Open a link and enter the raw REPL behind it; what runs is interrupted.

    Args:
        link: a byte stream to MicroPython's console.
        timeout: seconds that the board may take for each step.

    Raises:
        ReplError: there is no raw REPL, or the link cannot be opened.
    """
    async with AsyncExitStack() as stack:
        repl = await _open(link, timeout, stack)
        try:
            yield repl
        finally:
            await repl.leave()


async def _open(link: BaseBuf, timeout: float, stack: AsyncExitStack) -> RawRepl:
    """Open and enter; again when the link breaks: it may not be free yet for a new client."""
    for tries in range(_OPEN_TRIES, 0, -1):
        try:
            async with AsyncExitStack() as opened:
                repl = RawRepl(await opened.enter_async_context(link), timeout)
                await repl.enter()
                stack.push_async_exit(opened.pop_all())
                return repl
        except (LinkError, EOFError) as exc:
            if tries == 1:
                raise ReplError(f"there is no REPL: {exc or 'the link has ended'}") from None
            await anyio.sleep(_OPEN_S)
    raise AssertionError
