"""SerialLink: a byte stream to a serial port (POSIX)."""

from __future__ import annotations

import errno
import os
import termios
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import serial
from serial.tools.list_ports import comports

from moat.micro.errors import LinkLost
from moat.micro.proto.fd import FdBuf

__all__ = ["SerialLink", "find_port"]

_RESET_S = 0.1  # the capacitor at a reset pin needs some milliseconds
_DRAIN_S = 0.5  # what was written may take that long to leave, when the port is closed

_REMEDY = {
    errno.EACCES: ": your user has to be in the group of the port, often dialout",
    errno.EAGAIN: ": another program uses it",
    errno.EBUSY: ": another program uses it",
    errno.ENOENT: ": is it plugged in?",
}


def find_port(port: str) -> str:
    """Return the path of a serial port.

    Args:
        port: its path, or the USB serial number of the device, in upper or lower case.

    Raises:
        LinkLost: no port has this serial number, or several have; the message lists them.
    """
    if "/" in port:
        return port
    ports = [p for p in sorted(comports()) if p.serial_number]
    found = [p.device for p in ports if str(p.serial_number).lower() == port.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise LinkLost(f"{port}: several ports of this device, give a path: {', '.join(found)}")
    there = [f"{p.serial_number} ({p.device}, {p.description})" for p in ports]
    raise LinkLost(
        f"{port}: no serial port has this USB serial number (a path has a slash); "
        f"there is: {', '.join(there) or 'none at all'}"
    )


class SerialLink(FdBuf):
    """Opens a serial port when it is entered; nobody else can open it meanwhile.

    Many boards are reset through DTR and RTS. Linux raises both whenever a port is opened, and
    no program can keep it from that. The circuits of the ESP boards take no notice of both at
    once; an Arduino is reset when DTR rises. So the first opening after it was plugged in may
    reset a board, and no other: both lines stay up when the port is closed (HUPCL is taken off,
    which also holds for the programs that open the port next). A USB device such as an RP2
    takes DTR for the sign that somebody listens, and sends nothing without.

    Entering raises LinkLost with the reason; so does reading when the port vanishes.

    Args:
        port: path of the device, or its USB serial number, which is looked for at each entering.
        baudrate: bits per second; without meaning on USB and pseudo terminals.
        rtscts: flow control by RTS and CTS.
        xonxoff: flow control by the bytes 0x11 and 0x13, which data must not contain then.
        dtr: False lowers DTR after opening.
        rts: False lowers RTS, before DTR: the other order resets an ESP.
        reset: reset the board: DTR is down for 100 ms, while RTS is up.
    """

    s: serial.Serial | None = None

    def __init__(
        self,
        port: str,
        baudrate: int = 115200,
        *,
        rtscts: bool = False,
        xonxoff: bool = False,
        dtr: bool = True,
        rts: bool = True,
        reset: bool = False,
    ) -> None:
        self.port = port
        self.baudrate = baudrate
        self.rtscts = rtscts
        self.xonxoff = xonxoff
        self.dtr = dtr
        self.rts = rts
        self.reset = reset

    @asynccontextmanager
    async def _ctx(self) -> AsyncGenerator[SerialLink]:
        path = find_port(self.port)
        self.s = port = self._open_port(path)
        try:
            await self._set_lines(port, path)
            self._open(path, port.fileno(), port.fileno())
            try:
                yield self
            finally:
                self._close()
                await _drain(port)
        finally:
            self.s = None
            port.close()

    def _open_port(self, path: str) -> serial.Serial:
        try:
            return serial.Serial(
                path, self.baudrate, timeout=0, exclusive=True,
                rtscts=self.rtscts, xonxoff=self.xonxoff,
            )  # fmt: skip
        except (serial.SerialException, ValueError, OverflowError) as exc:
            code = getattr(exc, "errno", None)
            raise LinkLost(f"{path}: {_why(code) if code else exc}") from exc

    async def _set_lines(self, port: serial.Serial, path: str) -> None:
        try:
            if not self.reset:
                _stay_up(port.fileno())
            if not self.rts:
                port.rts = False
            if self.reset:
                port.dtr = False
                await anyio.sleep(_RESET_S)
                port.dtr = self.dtr
            elif not self.dtr:
                port.dtr = False
        except OSError as exc:
            what = "set DTR and RTS: has this port such lines?"
            raise LinkLost(f"{path}: cannot {what} ({exc.strerror})") from exc

    async def rd(self, buf: Any) -> int:
        """See BaseBuf.rd. A port has no end: LinkLost, it is gone."""
        try:
            return await super().rd(buf)
        except EOFError:
            raise self._lost(OSError(errno.EIO, "")) from None

    def _lost(self, exc: Exception) -> LinkLost:
        if isinstance(exc, OSError) and exc.errno in (errno.EIO, errno.ENODEV, errno.ENXIO):
            return LinkLost(f"{self._name}: the port is gone: was it unplugged?")
        return super()._lost(exc)


def _why(code: int) -> str:
    return os.strerror(code) + _REMEDY.get(code, "")


def _stay_up(fd: int) -> None:
    """Leave DTR and RTS as they are when the port is closed."""
    try:
        attrs = termios.tcgetattr(fd)
        attrs[2] &= ~termios.HUPCL
        termios.tcsetattr(fd, termios.TCSANOW, attrs)
    except termios.error as exc:
        raise OSError(*exc.args) from exc


async def _drain(port: serial.Serial) -> None:
    """Wait for the last bytes, not for ever: closing would, for up to 30 seconds."""
    try:
        with anyio.move_on_after(_DRAIN_S, shield=True) as scope:
            while port.out_waiting:  # noqa: ASYNC110 -- nobody tells when they have gone
                await anyio.sleep(0.005)
        if scope.cancelled_caught:
            port.reset_output_buffer()
    except (OSError, termios.error):
        pass  # the port is gone
