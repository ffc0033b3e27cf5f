"""64-bit floats on boards whose floats have 32 bits: rounded to the nearest, never garbage.

What a board only passes on keeps each bit.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest

from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.device import Device
from moat.micro.testing.console import Console
from tests.system.support import is_process, started

SINGLE = struct.Struct(">f")
# The greatest 32-bit float, half a step beyond it, and the steps on both sides of 1.
GREATEST = SINGLE.unpack(b"\x7f\x7f\xff\xff")[0]
LIMIT = GREATEST + 2.0**103
TINY = 2.0**-149  # the smallest one above zero

CASES = [
    0.0, -0.0, 1.0, -1.5, 16777216.0, 16777217.0, 0.1, -math.pi, 1e-40, -TINY, TINY * 0.75,
    TINY / 2, -TINY / 4, 1 + 2**-24, 1 + 2**-24 + 2**-50, 1 + 3 * 2**-24, GREATEST,
    math.nextafter(LIMIT, 0), LIMIT, -LIMIT, 1e300, -1e300, 1e-300, -1e-300, 5e-324,
    math.inf, -math.inf, math.nan,
]  # fmt: skip


def bits(value: float) -> bytes:
    """What tells any two floats apart; all NaNs are one."""
    return b"nan" if math.isnan(value) else struct.pack(">d", value)


def rounded(value: float) -> float:
    """The 32-bit float next to `value`."""
    try:
        return SINGLE.unpack(SINGLE.pack(value))[0]
    except OverflowError:  # struct refuses what rounds to infinity
        return math.copysign(math.inf, value)


async def test_a_float_comes_back_as_the_nearest_that_the_board_has(
    device: Device, target: str
) -> None:
    expected = float if is_process(target) else rounded
    got = await device.sys.ping(CASES)
    assert [bits(x) for x in got] == [bits(expected(x)) for x in CASES]


@pytest.mark.parametrize("value", [2**32 - 1, 2**53 + 1, 2**63, 2**64 - 1, -(2**31) - 1, -(2**63)])
async def test_integers_are_exact_beyond_a_word(device: Device, value: int) -> None:
    got = await device.sys.ping([value, -1])
    assert got == [value, -1]
    assert type(got[0]) is int


class Mirror(BaseCmd):
    """What the host serves: everything comes back as it is, and is seen by the way."""

    def __init__(self) -> None:
        self.seen = list[float]()

    async def cmd_same(self, *args: float, **kw: float) -> Any:
        self.seen += [*args, *kw.values()]
        return [*args, kw]

    async def stream_same(self, st: Any) -> None:
        async for value in st:
            self.seen.append(value)
            await st.send(value)


@pytest.fixture
def mirror() -> Mirror:
    return Mirror()


@pytest.fixture
async def through(target: str, device_folder: Path, console: Console, mirror: Mirror):
    """What the host serves, as it is seen from behind the device."""
    root = Dispatch({"mirror": mirror})
    async with started(target, device_folder, console, {}, root) as dev:
        yield dev.host.mirror


# A NaN may carry 51 bits.
EXACT = [*CASES, struct.unpack(">d", b"\x7f\xf8\x00\x00\x12\x34\x56\x78")[0]]


def exact(values: list[float]) -> list[bytes]:
    return [struct.pack(">d", value) for value in values]


EXACT_BITS = exact(EXACT)


async def test_a_call_through_a_board_keeps_each_bit(through: Any, mirror: Mirror) -> None:
    *got, named = await through.same(*EXACT[1:], x=EXACT[0])
    assert exact(mirror.seen) == EXACT_BITS[1:] + EXACT_BITS[:1]
    assert exact(got) == EXACT_BITS[1:]
    assert exact([named["x"]]) == EXACT_BITS[:1]


async def test_a_stream_through_a_board_keeps_each_bit(through: Any, mirror: Mirror) -> None:
    got = []
    async with through.same() as st:
        for value in EXACT:
            await st.send(value)
            got.append(await st.recv())
        await st.finish()
        assert [value async for value in st] == []
    assert exact(got) == exact(mirror.seen) == EXACT_BITS
