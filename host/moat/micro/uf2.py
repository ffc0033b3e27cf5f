"""UF2 files, which the boot loader of an RP2040 or RP2350 takes.

A file is a sequence of blocks of 512 bytes, each with 256 bytes of the image, the address where
they go, and the family of chips that it is for. The format: https://github.com/microsoft/uf2;
the families: the RP2350's data sheet, 5.5.3, and the list in that repository.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = (
    "FAMILIES",
    "FLASH",
    "RP2040",
    "RP2350",
    "Uf2Error",
    "Uf2Image",
    "family_name",
    "pack",
    "unpack",
)

FLASH = 0x10000000
"""Where the flash of these chips begins."""
RP2040 = 0xE48BFF56
RP2350 = 0xE48BFF59
"""The Arm cores of an RP2350, secure mode."""
FAMILIES = {
    "rp2040": RP2040,
    "absolute": 0xE48BFF57,
    "data": 0xE48BFF58,
    "rp2350-arm-s": RP2350,
    "rp2350-riscv": 0xE48BFF5A,
    "rp2350-arm-ns": 0xE48BFF5B,
}

_BLOCK = 512
_PAYLOAD = 256
_HEAD = struct.Struct("<8I")
_TAIL = struct.Struct("<I")
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_NOT_MAIN_FLASH = 0x00000001
_HAS_FAMILY = 0x00002000
_TAIL_AT = _BLOCK - _TAIL.size


class Uf2Error(ValueError):
    """This is no UF2 file, or it is not whole, or not for this chip."""


@dataclass(frozen=True)
class Uf2Image:
    """What is in a UF2 file: the bytes from `address` on, for one family of chips."""

    family: int
    address: int
    data: bytes

    def require(self, family: int) -> None:
        """Check that it is for chips of this family.

        Raises:
            Uf2Error: names both.
        """
        if self.family != family:
            is_for, wanted = family_name(self.family), family_name(family)
            raise Uf2Error(f"this UF2 is for the family {is_for}, not for {wanted}")


def family_name(family: int) -> str:
    """The name of a family, or its number where it has none here."""
    names = {number: name for name, number in FAMILIES.items()}
    return names.get(family, f"0x{family:08x}")


def pack(data: bytes, family: int, address: int) -> bytes:
    """A UF2 file with `data`, which is to be at `address`; the last block is filled with zeros.

    Raises:
        ValueError: `data` is empty, or `address` is not a multiple of 256.
    """
    if not data or address % _PAYLOAD:
        raise ValueError("a UF2 has at least one byte, and starts at a multiple of 256")
    count = -(-len(data) // _PAYLOAD)
    blocks: list[bytes] = []
    for number in range(count):
        at = number * _PAYLOAD
        head = _HEAD.pack(*_MAGIC, _HAS_FAMILY, address + at, _PAYLOAD, number, count, family)
        piece = data[at : at + _PAYLOAD]
        blocks.append((head + piece).ljust(_TAIL_AT, b"\0") + _TAIL.pack(_MAGIC_END))
    return b"".join(blocks)


def unpack(file: bytes) -> Uf2Image:
    """Read a UF2 file of one family whose blocks follow each other without a gap.

    Blocks of other uses are passed over: those that are not for the flash, and the block in
    front that some RP2350 tools add (the family "absolute": it works around a chip's erratum).

    Raises:
        Uf2Error: says what is wrong, and in which block.
    """
    if not file or len(file) % _BLOCK:
        size = f"{len(file)} bytes: not a multiple of {_BLOCK}"
        raise Uf2Error("this UF2 is empty" if not file else f"this UF2 is cut short: {size}")
    blocks = [_block(file[at : at + _BLOCK], at // _BLOCK) for at in range(0, len(file), _BLOCK)]
    return _joined([block for block in blocks if block is not None])


@dataclass(frozen=True)
class _Block:
    number: int
    count: int
    family: int
    address: int
    data: bytes


def _block(raw: bytes, place: int) -> _Block | None:
    first, second, flags, address, size, number, count, family = _HEAD.unpack_from(raw)
    if (first, second) != _MAGIC or _TAIL.unpack_from(raw, _TAIL_AT) != (_MAGIC_END,):
        raise Uf2Error(f"block {place} is not one of a UF2")
    if flags & _NOT_MAIN_FLASH:
        return None
    if not flags & _HAS_FAMILY:
        raise Uf2Error(f"block {place} names no family of chips")
    if family == FAMILIES["absolute"]:
        return None
    if size != _PAYLOAD:
        raise Uf2Error(f"block {place} has {size} bytes, not {_PAYLOAD}")
    return _Block(number, count, family, address, raw[_HEAD.size : _HEAD.size + size])


def _joined(blocks: list[_Block]) -> Uf2Image:
    if not blocks:
        raise Uf2Error("this UF2 has nothing for the flash")
    first = blocks[0]
    for place, block in enumerate(_in_order(blocks)):
        if block.family != first.family:
            names = f"{family_name(first.family)} and {family_name(block.family)}"
            raise Uf2Error(f"this UF2 is for two families, {names}")
        if block.address != first.address + place * _PAYLOAD:
            raise Uf2Error(f"block {place} is for 0x{block.address:08x}: not behind the others")
    return Uf2Image(first.family, first.address, b"".join(block.data for block in blocks))


def _in_order(blocks: list[_Block]) -> Iterable[_Block]:
    for place, block in enumerate(blocks):
        if block.count != len(blocks):
            raise Uf2Error(f"this UF2 is not whole: {len(blocks)} of {block.count} blocks")
        if block.number != place:
            raise Uf2Error(f"block {place} has the number {block.number}")
        yield block
