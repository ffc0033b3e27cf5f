"""An emulated serial boot loader of an ESP32, ESP32-S3 or ESP32-C3, at a pseudo terminal.

Commands and replies are those of "Serial Protocol" in esptool's documentation: packets in SLIP
frames, first with the ROM, then with the flasher stub that a host loads, whatever its code is. The
SPI controller knows what a host asks a flash chip for: its id.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import struct
import threading
import tty
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import PIPE, Popen
from types import TracebackType
from typing import IO, Self

__all__ = ("CHIPS", "EspRom")

_END, _ESC = b"\xc0", b"\xdb"
_MESSAGE = b"\xc1"  # how one of our stack begins
_FLASH_SIZE = 4 << 20
_FLASH_ID = 0x1640EF  # a W25Q32: 4 MiB
_SECTOR = 4096
_SEED = 0xEF  # of checksums
_RUN = 1 << 18  # SPI_CMD: carry out what the other registers say
_READ_ID = 0x9F
_ROM = 0x20120707  # what the ROM answers to a SYNC, and a stub does not
_MAGIC = 0x40001000  # where a value tells old chips apart

# Errors in a reply.
_INVALID, _BAD_CHECKSUM = 5, 7


@dataclass(frozen=True)
class Chip:
    """What tells a chip from others, and where its SPI controller is."""

    magic: int
    number: int
    """GET_SECURITY_INFO and an image's header have it. An ESP32 does not know that command."""
    spi: int
    user2: int
    w0: int
    registers: dict[int, int]


_UART_DIVIDER = {0x3FF40014: 347}  # 40 MHz / 115200
CHIPS = {
    "esp32": Chip(0x00F01D83, 0, 0x3FF42000, 0x24, 0x80, _UART_DIVIDER),
    "esp32-c3": Chip(0x6921506F, 5, 0x60002000, 0x20, 0x58, {}),
    "esp32-s3": Chip(0x9, 9, 0x60002000, 0x20, 0x58, {}),
}


class EspRom:
    """Context manager: the boot loader waits at `port`.

    Args:
        chip: which one it is.
        is_mute: nothing is answered.
        bad_md5: the checksums of flash that are told are wrong.
        bad_blocks: so many blocks of data arrive damaged.
        dies_after: so many blocks of data are answered, then nothing is.
        runs: a program that takes the port over when the first byte of a message arrives there, as
            the new firmware does after a reset, which a pseudo terminal cannot transmit.
    """

    def __init__(
        self,
        chip: str = "esp32",
        *,
        is_mute: bool = False,
        bad_md5: bool = False,
        bad_blocks: int = 0,
        dies_after: int | None = None,
        runs: list[str] | None = None,
    ) -> None:
        self.chip = CHIPS[chip]
        self.is_mute = is_mute
        self.bad_md5 = bad_md5
        self.bad_blocks = bad_blocks
        self.dies_after = dies_after
        self.runs = runs
        self.flash = bytearray(b"\0" * _FLASH_SIZE)  # not erased: what is not written shows
        self.commands: list[int] = []
        self.baudrate = 115200
        self.is_stub = False
        self._registers = {_MAGIC: self.chip.magic, **self.chip.registers}
        self._at = 0
        self._inflate = zlib.decompressobj()

    def __enter__(self) -> Self:
        self._fd, self._far = pty.openpty()
        tty.setraw(self._far)
        self.port = os.ttyname(self._far)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        os.close(self._far)  # the last one: reading from the near end fails then
        self._thread.join()
        os.close(self._fd)

    # --- frames

    def _serve(self) -> None:
        data = b""
        with contextlib.suppress(OSError):
            while True:
                data += os.read(self._fd, 4096)
                if self.runs and data.startswith(_MESSAGE):
                    self._run(self.runs, data)
                    return
                *frames, data = data.split(_END)
                for frame in filter(None, frames):
                    self._packet(frame.replace(b"\xdb\xdc", _END).replace(b"\xdb\xdd", _ESC))

    def _run(self, command: list[str], data: bytes) -> None:
        """Be the program until the port is closed."""
        with Popen(command, stdin=PIPE, stdout=PIPE, bufsize=0) as process:
            assert process.stdin
            assert process.stdout
            output = threading.Thread(target=self._copy, args=(process.stdout,))
            output.start()
            try:
                while True:
                    process.stdin.write(data)
                    data = os.read(self._fd, 4096)
            finally:
                process.kill()
                output.join()

    def _copy(self, source: IO[bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := source.read(4096):
                os.write(self._fd, data)

    def _send(self, data: bytes) -> None:
        data = data.replace(_ESC, b"\xdb\xdd").replace(_END, b"\xdb\xdc")
        os.write(self._fd, _END + data + _END)

    def _packet(self, packet: bytes) -> None:
        if self.is_mute or len(packet) < 8 or packet[0] != 0:
            return
        command, size, checksum = struct.unpack_from("<BHI", packet, 1)
        data = packet[8:]
        if len(data) != size:
            return
        self.commands.append(command)
        if command in _DATA and not self._takes(data, checksum):
            return
        handler = _HANDLERS.get(command)
        if handler is None or (self.is_stub and command == 0x14):
            self._reply(command, error=_INVALID)
        else:
            handler(self, data)

    def _takes(self, data: bytes, checksum: int) -> bool:
        """Whether a block of data is whole; refuses it if not."""
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                self.is_mute = True
                return False
        total = _SEED
        for byte in data[16:]:
            total ^= byte
        if total != checksum or self.bad_blocks > 0:
            self.bad_blocks -= 1
            self._reply(self.commands[-1], error=_BAD_CHECKSUM)
            return False
        return True

    def _reply(self, command: int, value: int = 0, data: bytes = b"", error: int = 0) -> None:
        status = bytes([error != 0, error])
        data += status if self.is_stub else status + b"\0\0"
        self._send(struct.pack("<BBHI", 1, command, len(data), value) + data)

    # --- commands

    def _sync(self, data: bytes) -> None:
        del data
        for _ in range(8):
            self._reply(0x08, 0 if self.is_stub else _ROM)

    def _ok(self, data: bytes) -> None:
        del data
        self._reply(self.commands[-1])

    def _read_reg(self, data: bytes) -> None:
        (at,) = struct.unpack("<I", data)
        self._reply(0x0A, self._registers.get(at, 0))

    def _write_reg(self, data: bytes) -> None:
        for i in range(0, len(data), 16):
            at, value, _, _ = struct.unpack_from("<4I", data, i)
            self._registers[at] = value
            if at == self.chip.spi and value & _RUN:
                self._registers[at] = 0  # it is done
                opcode = self._registers.get(at + self.chip.user2, 0) & 0xFF
                answer = _FLASH_ID if opcode == _READ_ID else 0
                self._registers[at + self.chip.w0] = answer
        self._reply(0x09)

    def _security_info(self, data: bytes) -> None:
        del data
        if self.chip.number == 0:
            self._reply(0x14, error=_INVALID)
        else:
            self._reply(0x14, data=struct.pack("<I8xII", 0, self.chip.number, 0))

    def _begin(self, data: bytes) -> None:
        size, blocks, block, self._at = struct.unpack_from("<4I", data)
        if self.commands[-1] == 0x10:
            self._inflate = zlib.decompressobj()
        else:
            size = max(size, blocks * block)
        if not size:  # esptool's way to end in the ROM
            self._reply(self.commands[-1])
            return
        first = self._at // _SECTOR * _SECTOR
        end = -(-(self._at + size) // _SECTOR) * _SECTOR
        self.flash[first:end] = b"\xff" * (end - first)
        self._reply(self.commands[-1])

    def _data(self, data: bytes) -> None:
        self._put(data[16:])
        self._reply(0x03)

    def _deflated(self, data: bytes) -> None:
        self._put(self._inflate.decompress(data[16:]))
        self._reply(0x11)

    def _put(self, data: bytes) -> None:
        there = self.flash[self._at : self._at + len(data)]
        both = int.from_bytes(there, "big") & int.from_bytes(data, "big")  # as NOR flash does
        self.flash[self._at : self._at + len(data)] = both.to_bytes(len(data), "big")
        self._at += len(data)

    def _md5(self, data: bytes) -> None:
        at, size, _, _ = struct.unpack("<4I", data)
        digest = hashlib.md5(self.flash[at : at + size], usedforsecurity=False)
        if self.bad_md5:
            digest.update(b"another")
        self._reply(0x13, data=digest.digest() if self.is_stub else digest.hexdigest().encode())

    def _mem_end(self, data: bytes) -> None:
        self._reply(0x06)
        if not struct.unpack_from("<I", data)[0]:  # carry on with what was loaded
            self.is_stub = True
            self._send(b"OHAI")

    def _change_baudrate(self, data: bytes) -> None:
        self._reply(0x0F)
        (self.baudrate,) = struct.unpack_from("<I", data)

    def _erase_flash(self, data: bytes) -> None:
        del data
        self.flash[:] = b"\xff" * _FLASH_SIZE
        self._reply(0xD0)


_DATA = (0x03, 0x07, 0x11)
_HANDLERS: dict[int, Callable[[EspRom, bytes], None]] = {
    0x02: EspRom._begin,
    0x03: EspRom._data,
    0x04: EspRom._ok,
    0x05: EspRom._ok,
    0x06: EspRom._mem_end,
    0x07: EspRom._ok,
    0x08: EspRom._sync,
    0x09: EspRom._write_reg,
    0x0A: EspRom._read_reg,
    0x0B: EspRom._ok,
    0x0D: EspRom._ok,
    0x0F: EspRom._change_baudrate,
    0x10: EspRom._begin,
    0x11: EspRom._deflated,
    0x12: EspRom._ok,
    0x13: EspRom._md5,
    0x14: EspRom._security_info,
    0xD0: EspRom._erase_flash,
}
