"""Running a program on a device."""

from __future__ import annotations

from moat.micro.device import Device

__all__ = ["run_program"]

_PIECE = 2048  # a device takes messages of 4 KiB by default


async def run_program(dev: Device, source: bytes | str, name: str = "<host>") -> None:
    """Send `source` to the device and run it there; returns when it has ended.

    Its top level runs first and holds up the stack while it does; an ``async def main()`` then
    runs beside it. What it prints is console text. Cancelling this cancels main().

    Raises what the program raises (its traceback is console text, too), and SyntaxError.
    """
    data = source.encode() if isinstance(source, str) else source
    for offset in range(0, max(len(data), 1), _PIECE):
        await dev.run.put(offset, data[offset : offset + _PIECE])
    await dev.run.start(name)
