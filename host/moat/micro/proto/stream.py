"""Byte streams on CPython, over anyio.

The device's proto/stream.py has the counterparts on MicroPython.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import ByteStream, Process, SocketStream, UNIXSocketStream

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost
from moat.micro.proto.fd import FdBuf
from moat.micro.proto.stack import BaseBuf
from moat.micro.proto.sync import SyncStream

__all__ = ["AnyioBuf", "ProcessBuf", "SingleAnyioBuf", "SyncStream"]

_EXIT_S = 1.0  # a process that is told to end, or has closed its output, is given this long
_STDERR_TAIL = 2000
_CLOSE_S = 1.0  # for what a stream may have to say at the end, as TLS has

_CLOSED, _BROKEN = "it is closed", "the link is broken"
_ANYIO_ERRORS = (
    anyio.BrokenResourceError, anyio.BusyResourceError, anyio.ClosedResourceError,
    anyio.EndOfStream, OSError,
)  # fmt: skip


class AnyioBuf(BaseBuf):
    """A byte stream over an anyio stream `s`; set that in `_ctx`.

    anyio's errors arrive as those of the stack: EOFError at the peer's orderly end, LinkLost
    when the link is broken or closed, InUseError for a second reader or writer.

    A write is never cancelled half-way. TCP on asyncio takes all of it at once, or nothing. Any
    other stream finishes it first, and when the peer takes no data for `stall_s` seconds the
    link breaks.
    """

    s: ByteStream | Any = None
    name: str | None = None  # for messages
    stall_s = 30.0
    _reading = False
    _ahead = b""  # what has been read for the next `rd`

    async def __aenter__(self) -> Any:
        """See Base. What arrives is bounded from the start."""
        if self._cm is None:
            self._ahead = b""
        opened = await super().__aenter__()
        try:
            if isinstance(self.s, SocketStream):
                await self._hold_back()
        except BaseException as exc:
            await self.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        return opened

    async def _hold_back(self) -> None:
        """Have the socket read no more than is asked for.

        On asyncio one that was accepted or wrapped reads ahead without a limit, until the first
        receive() that had to wait has ended.
        """
        try:
            with anyio.CancelScope() as scope:
                scope.cancel()
                self._ahead = await self.s.receive()  # the data may be faster
        except _ANYIO_ERRORS:
            return  # `rd` will meet it again

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd."""
        if self._reading:  # anyio's streams do not agree on how they tell
            raise InUseError("somebody reads already")
        self._reading = True
        try:
            stream = self._stream()
            data = self._ahead or await stream.receive(len(buf))
        except anyio.EndOfStream:
            raise EOFError from None
        except _ANYIO_ERRORS as exc:
            raise self._error(exc) from exc
        finally:
            self._reading = False
        n = min(len(data), len(buf))
        buf[:n] = data[:n]
        self._ahead = data[n:]
        return n

    async def wr(self, buf: Any) -> None:
        """See BaseBuf.wr."""
        stream = self._stream()
        data = bytes(buf)  # a cancelled write may be sent later, when `buf` is used again
        try:
            if _takes_all(stream):
                await stream.send(data)
            else:
                await self._send_all(stream, data)
        except _ANYIO_ERRORS as exc:
            raise self._error(exc) from exc

    async def _send_all(self, stream: ByteStream, data: bytes) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()  # or who only writes is never cancelled
        with anyio.move_on_after(self.stall_s, shield=True) as scope:
            await stream.send(data)
        if scope.cancelled_caught:
            await anyio.aclose_forcefully(stream)
            raise self._lost(f"the peer has taken no data for {self.stall_s:g} seconds")

    async def aclose(self) -> None:
        """Close the stream; who reads or writes gets LinkLost. Does no harm twice."""
        stream = self.s
        if stream is not None:
            self.s = None
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await stream.aclose()

    def _stream(self) -> ByteStream:
        if self.s is None:
            raise self._lost(_CLOSED)
        return self.s

    def _error(self, exc: Exception) -> Exception:
        """Return the stack's error for one of anyio's."""
        if isinstance(exc, anyio.BusyResourceError):
            return InUseError(str(exc))
        if isinstance(exc, anyio.ClosedResourceError):
            return self._lost(_CLOSED)
        cause = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc
        return self._lost((isinstance(cause, OSError) and cause.strerror) or str(cause) or _BROKEN)

    def _lost(self, why: str) -> LinkLost:
        return LinkLost(f"{self.name}: {why}" if self.name else why)


class SingleAnyioBuf(AnyioBuf):
    """A byte stream over one stream of anyio, say that of a server's client.

    It can be entered once; leaving it closes the stream.

    Args:
        s: the stream.
        name: of the peer, for messages.
    """

    def __init__(self, s: ByteStream, name: str | None = None) -> None:
        self.s = s
        self.name = name

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[SingleAnyioBuf]:
        if self.s is None:
            raise self._lost(f"{_CLOSED}, and cannot be opened again")
        try:
            yield self
        finally:
            await self.aclose()


class ProcessBuf(FdBuf):
    """A byte stream to stdin and from stdout of a process; override `argv` (POSIX).

    Leaving the context closes the process's stdin, and ends the process if it does not end by
    itself in `exit_s` seconds. Its stderr is kept apart: when the process dies, the end of it
    is part of the error. A Ctrl-C in our terminal does not reach it.
    """

    argv: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    exit_s = 1.0
    process: Process | None = None

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[ProcessBuf]:
        self._stderr = bytearray()
        self._stderr_ended = anyio.Event()
        try:
            _check_program(self.argv[0], self.cwd, self.env)
            process = await self._start()
        except OSError as exc:
            what = exc.strerror if exc.filename == self.argv[0] else str(exc)
            raise LinkLost(f"cannot start {self.argv[0]}: {what}") from exc
        self.process = process
        self._open(self.argv[0], self._stdout, self._stdin)
        try:
            async with rt.TaskGroup() as tasks:
                tasks.start_soon(self._collect_stderr, process)
                try:
                    yield self
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._stop(process)
                    tasks.cancel()
        finally:
            self.process = None

    async def _start(self) -> Process:
        child_in, self._stdin = os.pipe()
        self._stdout, child_out = os.pipe()
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        try:
            return await anyio.open_process(
                _with_parent(self.argv), stdin=child_in, stdout=child_out, stderr=PIPE,
                cwd=self.cwd, env=self.env, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(self._stdin)
            os.close(self._stdout)
            raise
        finally:
            os.close(child_in)
            os.close(child_out)

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd. LinkLost: the process has failed, and how."""
        try:
            return await super().rd(buf)
        except EOFError:
            await self._check_exit()
            raise

    async def _check_exit(self) -> None:
        status = None
        if self.process is not None:
            with anyio.move_on_after(_EXIT_S):
                status = await self.process.wait()
                await self._stderr_ended.wait()
        if status:
            how = f"with status {status}" if status > 0 else f"by signal {-status}"
            said = self._stderr.decode(errors="replace").strip()
            raise LinkLost(f"{self.argv[0]} has ended {how}{': ' + said if said else ''}")

    async def _collect_stderr(self, process: Process) -> None:
        assert process.stderr is not None
        try:
            async for chunk in process.stderr:
                self._stderr += chunk
                del self._stderr[:-_STDERR_TAIL]
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # we have closed it: a process of the process's has it, still
        finally:
            self._stderr_ended.set()

    async def _stop(self, process: Process) -> None:
        self._close()
        os.close(self._stdin)
        os.close(self._stdout)
        with anyio.move_on_after(self.exit_s):
            await process.wait()
        for end in (process.terminate, process.kill):
            if process.returncode is None:
                end()
                with anyio.move_on_after(_EXIT_S):
                    await process.wait()
        await process.aclose()


def _check_program(name: str, cwd: str | None, env: Mapping[str, str] | None) -> None:
    """Raise the OSError that starting it would raise: `setpriv` would start all the same."""
    if "/" in name:
        path = Path(cwd or ".", name)
        code = 0 if os.access(path, os.X_OK) else errno.EACCES if path.exists() else errno.ENOENT
    else:
        found = shutil.which(name, path=(os.environ if env is None else env).get("PATH"))
        code = 0 if found else errno.ENOENT
    if code:
        raise OSError(code, os.strerror(code), name)


def _with_parent(argv: Sequence[str]) -> Sequence[str]:
    """Have the kernel end the process when we are killed: an emulator would run on for ever.

    Not on trio: the kernel means the thread that started the process, and trio uses one that
    ends after ten idle seconds.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or not _on_asyncio():
        return argv
    return [setpriv, "--pdeathsig", "TERM", "--", *argv]


def _takes_all(stream: ByteStream) -> bool:
    """Whether sending cannot be cancelled half-way."""
    tcp = isinstance(stream, SocketStream) and not isinstance(stream, UNIXSocketStream)
    return tcp and _on_asyncio()


def _on_asyncio() -> bool:
    return anyio.get_cancelled_exc_class() is asyncio.CancelledError
