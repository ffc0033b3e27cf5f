"""The checksums as the device computes them: on some boards in machine code."""

from __future__ import annotations

from pathlib import Path

from moat.micro.device import Device
from moat.micro.program import run_program
from moat.micro.testing.console import Console
from tests.system.support import is_process

# The table and the tests that also run on the unix image and on CPython.
SOURCE = (Path(__file__).parents[1] / "both" / "test_crc.py").read_text(encoding="utf-8")

KIND = """
try:
    import _crc16_viper
    print("machine code", crc16 is _crc16_viper.crc16, "end")
except ImportError:
    print("bytecode", "end")
"""


async def test_checksums_are_right(device: Device, console: Console) -> None:
    await run_program(device, SOURCE + "test_crc_16()\ntest_crc_32()\nprint('passed')\n")
    await console.expect("passed")


async def test_emulated_boards_have_machine_code(
    device: Device, console: Console, target: str
) -> None:
    await run_program(device, SOURCE + KIND)
    await console.expect("end")
    assert ("machine code True" in console.text) != is_process(target)
