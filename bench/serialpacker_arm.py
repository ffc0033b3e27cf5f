"""SerialPacker's frames on qemu-arm, with the CRC-16, against the package `serialpacker`.

Both make a frame and take it apart again, as in serialpacker_cpython. QEMU counts instructions
(-icount): its clock advances by 32 ns with each of them, so these figures do not depend on what
else this machine does.

The package's module is read where it is installed and run as it is, but for two lines that
MicroPython refuses. Ours runs twice: with its CRC as bytecode, and as machine code.
"""

from __future__ import annotations

import inspect
import re
import shlex

import serialpacker

from bench._figure import Figure, at_least
from bench._repl import RawRepl, raw_repl
from moat.micro.boards import load

__all__ = ("measure",)

_NS_PER_INSTRUCTION = 32  # shift=5
_SIZES = (32, 200, 1000)
_CALLS = 10
_BYTECODE, _VIPER = at_least(4), at_least(15)

_COMMON = f"""
import gc, sys
from time import ticks_us, ticks_diff
def measure(fn, size):
    data = bytes([(i * 89 + 7) & 255 for i in range(size)])
    assert fn(data) == data
    gc.collect()
    began = ticks_us()
    for _ in range({_CALLS}):
        fn(data)
    return ticks_diff(ticks_us(), began)
"""

_OURS = """
from moat.micro.proto._serialpacker import Decoder, Format
form = Format(max_packet=1000, crc=16)
decoder = Decoder(form)
def ours(data):
    decoder.feed(form.encode(data))
    return decoder.next()
"""

# A module that lacks what is looked for in it: then the bytecode is used.
_NO_VIPER = """
import sys
sys.modules["_crc16_viper"] = sys
"""

_THEIRS = """
names = {{}}
exec({source!r}, names)
packer = names["SerialPacker"](max_packet=1000)
def theirs(data):
    found = None
    for part in packer.frame(data):
        for byte in part:
            found = packer.feed(byte)
    return found
"""


async def measure() -> list[Figure]:
    """For each size the ratios of the instructions, theirs to ours, and all of them."""
    theirs = await _instructions(_THEIRS.format(source=_mended()), "theirs")
    bytecode = await _instructions(_NO_VIPER + _OURS, "ours")
    viper = await _instructions(_OURS, "ours")
    figures: list[Figure] = []
    for size in _SIZES:
        name = f"serialpacker_arm.{size}"
        figures += [
            Figure(f"{name}.bytecode", theirs[size] / bytecode[size], "x serialpacker", _BYTECODE),
            Figure(f"{name}.viper", theirs[size] / viper[size], "x serialpacker", _VIPER),
            Figure(f"{name}.bytecode.ours", bytecode[size], "instructions"),
            Figure(f"{name}.viper.ours", viper[size], "instructions"),
            Figure(f"{name}.serialpacker", theirs[size], "instructions"),
        ]
    return figures


def _mended() -> str:
    """The package's source without the faults that keep it from running on MicroPython."""
    source = inspect.getsource(serialpacker)
    source = re.sub("^from __future__ .*", "", source, flags=re.MULTILINE)
    # In frame(), where a length takes two bytes: a bytearray cannot be extended by a tuple.
    return re.sub(r"\.extend\((\(.+\))\)", r".extend(bytes(\1))", source)


async def _instructions(code: str, function: str) -> dict[int, int]:
    """Run `code` on a board of its own; return the cost of one call of `function` by size."""
    command = [*load("qemu-arm").command("stdio"), "-icount", "shift=5"]
    async with raw_repl("process:" + shlex.join(command)) as repl:
        await repl.run(_COMMON + code)
        return {size: await _call(repl, function, size) for size in _SIZES}


async def _call(repl: RawRepl, function: str, size: int) -> int:
    us = int(await repl.run(f"print(measure({function}, {size}))"))
    return us * 1000 // _NS_PER_INSTRUCTION // _CALLS
