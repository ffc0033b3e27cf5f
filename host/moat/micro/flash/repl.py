"""MicroPython's raw REPL: running code on a board without our stack.

The exchange is in MicroPython's documentation ("The MicroPython Interactive Interpreter Mode",
Raw mode): Ctrl-A enters, Ctrl-D runs what was sent, the reply is OK, the output, 04, an error's
traceback, 04. Ctrl-B leaves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from moat.micro.errors import LinkError, MoatError
from moat.micro.proto.stack import BaseBuf

__all__ = ("RawRepl", "ReplError", "raw_repl")

_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_TRY_S = 1.0
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
        except (EOFError, LinkError) as exc:
            raise ReplError(f"there is no REPL: {exc or 'the link has ended'}") from None
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

    async def leave(self) -> None:
        """Back to the normal REPL, if there still is one."""
        try:
            with anyio.move_on_after(_TRY_S):
                await self._link.wr(b"\x02")
        except LinkError:
            pass  # which is what a reset looks like

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
        LinkLost: the link cannot be opened.
        ReplError: there is no raw REPL.
    """
    async with link as stream:
        repl = RawRepl(stream, timeout)
        await repl.enter()
        try:
            yield repl
        finally:
            await repl.leave()
