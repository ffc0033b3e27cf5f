"""SerialLink: a byte stream to a serial port (POSIX)."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import serial

from moat.micro.errors import LinkLost
from moat.micro.proto.fd import FdBuf

__all__ = ["SerialLink"]


class SerialLink(FdBuf):
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
        self._open(self.port, self.s.fileno(), self.s.fileno())
        try:
            yield self
        finally:
            self._close()
            self.s.close()

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd. A port has no end: LinkLost, it is gone."""
        try:
            return await super().rd(buf)
        except EOFError:
            raise LinkLost(f"{self.port}: the port is gone") from None
