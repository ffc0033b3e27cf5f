"""Pin apps from a device's config, on the emulated RP2040 with its pins and its ADC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from moat.micro.device import Device, connect, reset
from moat.micro.testing.emulator import Emulator
from tests.system.test_pin_apps import APPS

CFG: dict[str, Any] = {
    "button": {"pin": 3, "pull": "up"},
    "lamp": {"pin": 25},
    "light": {"pin": 26},
    "dimmer": {"pin": 6, "min_freq": 10, "max_freq": 2000},
    "bus": {"scl": 1, "sda": 0},
    "chip": {"sck": 18, "mosi": 19, "miso": 16, "cs": 17},
    "chain": {"pin": 7, "n": 2},
}


@pytest.fixture
async def board() -> AsyncIterator[Emulator]:
    async with Emulator(keep_usb=True) as board:
        await board.until(usb=True)
        yield board


@asynccontextmanager
async def device(board: Emulator, *names: str) -> AsyncIterator[Device]:
    """The board, with these apps of CFG."""
    async with connect(board.link(), timeout=20) as dev:
        await dev.cfg.set(["apps"], {name: APPS[name] for name in names})
        for name in names:
            await dev.cfg.set([name], CFG[name])
        await dev.cfg.save()
        await reset(dev)
        await dev.rdy_(wait=True)
        yield dev


async def test_edges_arrive_as_a_stream(board: Emulator) -> None:
    async with device(board, "button") as dev, dev.button.watch() as edges:
        assert (await edges.recv())[0] == 1  # by its pull
        times = [await dev.sys.time()]
        for level in [0, 1] * 5:
            await board.gpio_set(3, level)
            got, us, lost = await edges.recv()
            assert (got, lost) == (level, 0)
            times.append(us)
        times.append(await dev.sys.time())
        assert times == sorted(times)


async def test_edges_that_come_too_fast_are_counted(board: Emulator) -> None:
    async with device(board, "button") as dev:
        await dev.sys.exec("import time")
        async with dev.button.watch() as edges:
            await edges.recv()
            # The loop does not run meanwhile, the interrupts do.
            dev.sys.exec("time.sleep_ms(600)").send()
            for level in [0, 1] * 60:
                await board.gpio_set(3, level)
            now = await dev.sys.time()
            await board.gpio_set(3, 0)
            got = [await edges.recv()]
            while got[-1][1] < now:
                got.append(await edges.recv())
        assert got[-1][0] == 0
        assert len(got) >= 64
        # Two edges in one interrupt are counted; of three, that is not to be seen.
        assert 121 - len(got) >= sum(lost for _, _, lost in got) > 0


async def test_what_is_driven_is_seen_outside(board: Emulator) -> None:
    async with device(board, "lamp") as dev, board.gpio_watch(25) as pin:
        for level in (1, 0, 1):
            await dev.lamp.set(level)
            assert (await anext(pin)).level == level
        await dev.lamp.stp_()
        assert (await anext(pin)).level == 0


async def test_analog_values_arrive_as_a_stream(board: Emulator) -> None:
    async with device(board, "light") as dev, dev.light.watch(interval_ms=5, change=1) as values:
        await values.recv()
        for value in (0x123, 0xFFF, 0x800):
            await board.adc_set(0, value)
            read = value << 4 | value >> 8
            while await values.recv() != read:
                pass
        assert await dev.light.get() == read


async def test_pulses_are_seen_outside(board: Emulator) -> None:
    async with device(board, "dimmer") as dev, board.gpio_watch(6) as pin:
        await dev.dimmer.set(16384, 50)
        edges = [await anext(pin) for _ in range(9)]
        ups = [edge for edge in edges if edge.level][-3:]
        assert ups[2].nanos - ups[1].nanos == pytest.approx(20e6, rel=0.01)
        down = next(e for e in edges if not e.level and e.nanos > ups[0].nanos)
        assert down.nanos - ups[0].nanos == pytest.approx(5e6, rel=0.01)
        await dev.dimmer.stp_()
        assert (await board.gpio_get(6))["level"] == 0


async def test_nobody_on_the_bus_is_an_os_error(board: Emulator) -> None:
    async with device(board, "bus") as dev:
        with pytest.raises(OSError, match="no answer from 0x23"):
            await dev.bus.read(0x23)


async def test_a_chain_of_leds_gets_its_bits(board: Emulator) -> None:
    async with device(board, "chain") as dev, board.gpio_watch(7) as pin:
        await dev.chain.set([[0xA5, 1, 0x80]])
        edges = [await anext(pin) for _ in range(96)]
        bits = ""
        for up, down in zip(edges[::2], edges[1::2], strict=True):
            assert (up.level, down.level) == (1, 0)
            high = down.nanos - up.nanos
            assert 200 < high < 1000
            bits += "01"[high > 600]
        assert int(bits, 2).to_bytes(6, "big") == bytes([1, 0xA5, 0x80, 0, 0, 0])


async def test_a_chip_is_selected_while_it_is_talked_to(board: Emulator) -> None:
    async with device(board, "chip") as dev, board.gpio_watch(17) as pin:
        assert await dev.chip.exchange(b"ab") == bytes(2)
        assert [(await anext(pin)).level for _ in range(2)] == [0, 1]
