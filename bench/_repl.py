"""MicroPython's raw REPL on a board that is started for it, without the stack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from moat.micro.proto.stack import BaseBuf
from moat.micro.target import link_to

__all__ = ("RawRepl", "ReplError", "raw_repl")

_INTERRUPT, _RAW, _RUN = b"\x03", b"\x01", b"\x04"
_PROMPT = b"\n>>> "
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_AGAIN_S = 0.3  # an image that is still starting takes no notice
_START_S = 20.0


class ReplError(Exception):
    """The code raised something, or there is no REPL; the message has the text."""


class RawRepl:
    """The raw REPL behind the byte stream `link`."""

    def __init__(self, link: BaseBuf) -> None:
        self._link = link
        self._seen = b""

    async def enter(self) -> None:
        """Interrupt what runs, and do a soft reset, after which no program is started.

        Raises:
            TimeoutError: there is no REPL.
            EOFError, LinkLost: the link has ended.
        """
        with anyio.fail_after(_START_S):
            while not await self._interrupted():
                pass
            await self._say(_RAW, _RAW_PROMPT)
            await self._say(_RUN, _RAW_PROMPT)

    async def run(self, code: str) -> str:
        """Run `code` and return what it has printed.

        Raises:
            ReplError: it raised something; the message is the traceback.
        """
        await self._link.wr(code.encode() + _RUN)
        taken = await self._until(b"OK")
        if taken:
            raise ReplError(f"the raw REPL does not take the code, but says {taken!r}")
        printed = await self._until(_RUN)
        error = await self._until(_RUN)
        await self._until(b">")
        if error:
            raise ReplError(error.decode(errors="replace").strip())
        return printed.decode(errors="replace").strip()

    async def _interrupted(self) -> bool:
        await self._link.wr(_INTERRUPT)
        with anyio.move_on_after(_AGAIN_S):
            await self._until(_PROMPT)
            return True
        return False

    async def _say(self, data: bytes, answer: bytes) -> None:
        await self._link.wr(data)
        await self._until(answer)

    async def _until(self, mark: bytes) -> bytes:
        """Read until `mark`; return what came before it."""
        buf = memoryview(bytearray(1024))
        while mark not in self._seen:
            n = await self._link.rd(buf)
            self._seen += bytes(buf[:n])
        found, _, self._seen = self._seen.partition(mark)
        return found


@asynccontextmanager
async def raw_repl(target: str) -> AsyncIterator[RawRepl]:
    """Start the emulated board `target`, and interrupt it before the stack has met a host."""
    async with link_to(target) as link:
        repl = RawRepl(link)
        await repl.enter()
        yield repl
