"""SerialLink: a byte stream to a serial port (POSIX)."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import serial

from moat.micro.errors import InUseError, LinkLost
from moat.micro.proto.stack import BaseBuf

__all__ = ["SerialLink"]


class SerialLink(BaseBuf):
    """Opens a serial port when it is entered; nobody else can open it meanwhile.

    Args:
        port: path of the device.
        baudrate: bits per second; without meaning on USB and pseudo terminals.
    """

    def __init__(self, port: str, baudrate: int = 115200) -> None:
        self.port = port
        self.baudrate = baudrate

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[SerialLink]:
        try:
            self.s = serial.Serial(self.port, self.baudrate, timeout=0, exclusive=True)
        except serial.SerialException as exc:
            reason = os.strerror(exc.errno) if exc.errno else str(exc)
            raise LinkLost(f"{self.port}: {reason}") from exc
        self._rest = b""
        try:
            yield self
        finally:
            self.s.close()

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd."""
        fd: int = self.s.fileno()
        try:
            while True:
                await anyio.wait_readable(fd)
                try:
                    n = os.readv(fd, [buf])
                except BlockingIOError:
                    continue
                if n == 0:
                    raise LinkLost(f"{self.port}: the port is gone")
                return n
        except anyio.BusyResourceError:
            raise InUseError("somebody reads already") from None
        except OSError as exc:
            raise LinkLost(f"{self.port}: {exc.strerror}") from exc

    async def wr(self, buf: Any) -> None:
        """See BaseBuf.wr. What a cancelled write has left over goes first in the next one."""
        fd: int = self.s.fileno()
        self._rest += bytes(buf)
        try:
            while self._rest:
                try:
                    n = os.write(fd, self._rest)
                except BlockingIOError:
                    await anyio.wait_writable(fd)
                else:
                    self._rest = self._rest[n:]
        except OSError as exc:
            raise LinkLost(f"{self.port}: {exc.strerror}") from exc
