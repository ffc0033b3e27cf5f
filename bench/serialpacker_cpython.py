"""SerialPacker's frames on CPython, with the CRC-16, against the package `serialpacker`.

Both make a frame of random data and take it apart again, with the cores alone: the package has
no streams. It takes bytes, ours the frame at once, as it would come from a pipe.
"""

from __future__ import annotations

import os

from serialpacker import SerialPacker

from bench._figure import Figure, at_least
from bench._rounds import in_turn
from moat.micro.proto._serialpacker import Decoder, Format

__all__ = ("measure",)

_BARS = {32: 6, 200: 30, 1000: 80}
_LIMIT = 1000


async def measure() -> list[Figure]:
    """For each size the ratio of the medians, theirs to ours, and both of them."""
    return [figure for size, bar in _BARS.items() for figure in await _one_size(size, bar)]


async def _one_size(size: int, bar: float) -> list[Figure]:
    data = os.urandom(size)
    form = Format(max_packet=_LIMIT, crc=16)
    decoder = Decoder(form)
    packer = SerialPacker(max_packet=_LIMIT)

    async def ours() -> bytearray | None:
        decoder.feed(form.encode(data))
        return decoder.next()

    async def theirs() -> bytearray | None:
        found = None
        for part in packer.frame(data):
            for byte in part:
                found = packer.feed(byte)
        return found

    if not data == await ours() == await theirs():
        raise RuntimeError("the data are not what they were")
    median = await in_turn({"ours": ours, "theirs": theirs}, rounds=20, calls=20)
    name = "serialpacker_cpython"
    return [
        Figure(
            f"{name}.{size}", median["theirs"] / median["ours"], "x serialpacker", at_least(bar)
        ),
        Figure(f"{name}.{size}.ours", median["ours"] * 1e6, "us"),
        Figure(f"{name}.{size}.serialpacker", median["theirs"] * 1e6, "us"),
    ]
