"""Pin apps from a device's config: on the unix image with its simulated board."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgpack import packb

from moat.micro.device import Device, connect, reset
from moat.micro.errors import NotReadyError
from tests.system.support import link_in

APPS = {
    "button": "moat.micro.app.pin:PinIn",
    "lamp": "moat.micro.app.pin:PinOut",
    "light": "moat.micro.app.adc:AdcCmd",
    "dimmer": "moat.micro.app.pwm:PwmCmd",
    "bus": "moat.micro.app.i2c:I2cCmd",
    "scale": "moat.micro.app.port:PortCmd",
    "chip": "moat.micro.app.spi:SpiCmd",
    "chain": "moat.micro.app.neopixel:PixelCmd",
    "sim": "moat.micro.app.sim:SimCmd",
}
CFG: dict[str, Any] = {
    "apps": APPS,
    "button": {"pin": 3, "pull": "up"},
    "lamp": {"pin": 25},
    "light": {"pin": 26},
    "dimmer": {"pin": 6},
    "chip": {"sck": 18, "mosi": 19, "miso": 16, "cs": 17},
    "chain": {"pin": 7, "n": 2},
    "scale": {"carries": "bytes", "link": {"kind": "serial", "port": 1, "baudrate": 9600}},
}


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Device]:
    """A process with these apps."""
    (tmp_path / "moat.cfg").write_bytes(packb(CFG))
    async with connect(link_in("unix", tmp_path)) as dev:
        await dev.rdy_(wait=True)
        yield dev


async def test_edges_arrive_as_a_stream(dev: Device) -> None:
    began = await dev.sys.time()
    async with dev.button.watch() as edges:
        assert (await edges.recv())[0] == 1
        for level in (0, 1, 0):
            await dev.sim.set(3, level)
        got = [await edges.recv() for _ in range(3)]
    ended = await dev.sys.time()
    assert [level for level, _, _ in got] == [0, 1, 0]
    assert [lost for _, _, lost in got] == [0, 0, 0]
    times = [us for _, us, _ in got]
    assert times == sorted(times)
    assert began - 20_000 <= times[0]
    assert times[-1] <= ended + 20_000


async def test_what_is_driven_is_seen_outside(dev: Device) -> None:
    async with dev.sim.watch(25) as pin:
        assert (await pin.recv())["level"] == 0
        await dev.lamp.set(1)
        assert (await pin.recv())["level"] == 1
        await dev.lamp.stp_()
        assert (await pin.recv())["mode"] == "in"


async def test_analog_values_arrive_as_a_stream(dev: Device) -> None:
    async with dev.light.watch(interval_ms=1, change=1) as values:
        assert await values.recv() == 0
        for value in (0x1001, 0x8008, 0xFFFF):
            await dev.sim.adc(0, value)
            assert await values.recv() == value


async def test_pulses(dev: Device) -> None:
    await dev.dimmer.set(1000)
    assert (await dev.sim.get(6))["pwm"] == [1000, 1000]
    with pytest.raises(ValueError, match="no number from 0 to 65535"):
        await dev.dimmer.set(70_000)
    await dev.dimmer.stp_()
    assert (await dev.sim.get(6))["pwm"] is None


async def test_who_does_not_answer_is_an_os_error(dev: Device) -> None:
    await dev.sim.i2c(0, 0x23, b"abc")
    assert await dev.bus.read_reg(0x23, 1, 2) == b"bc"
    with pytest.raises(OSError, match="no answer from 0x24") as info:
        await dev.bus.read(0x24)
    assert info.value.errno == 5


async def test_a_chip_and_a_chain_of_leds(dev: Device) -> None:
    await dev.sim.spi(0, b"xyz")
    assert await dev.chip.exchange(b"ab", 1) == b"xyz"
    assert await dev.sim.spi_get(0) == b"ab\0"
    await dev.chain.fill([1, 2, 3])
    assert await dev.sim.pixels(7) == bytes([2, 1, 3, 2, 1, 3])


async def test_a_uart_is_a_channel(dev: Device) -> None:
    async with dev.sim.uart(1) as far, dev.scale.rd() as near:
        await dev.scale.wr(b"weigh")
        assert await far.recv() == b"weigh"
        await far.send(b"42 kg")
        assert await near.recv() == b"42 kg"


async def test_settings_that_make_no_sense_are_told(dev: Device) -> None:
    await dev.cfg.set(["button", "pull"], "sideways")
    await dev.cfg.save()
    with pytest.raises(NotReadyError, match="pull: 'sideways' is none of: up, down"):
        await dev.button.get()
    await dev.cfg.set(["button", "pull"], "down")
    await dev.cfg.save()
    assert await dev.button.get() == 0


async def test_a_board_without_pins_says_so() -> None:
    async with connect("emu:qemu-arm", timeout=30) as dev:
        await dev.cfg.set(
            ["apps"], {"button": APPS["button"], "wifi": "moat.micro.app.wlan:WlanCmd"}
        )
        await dev.cfg.set(["button"], {"pin": 3, "restart": {"essential": False}})
        await dev.cfg.set(["wifi"], {"ssid": "a", "restart": {"essential": False}})
        await dev.cfg.save()
        await reset(dev)
        with pytest.raises(NotReadyError, match=r"this board has no machine\.Pin"):
            await dev.button.get()
        with pytest.raises(NotReadyError, match="this board has no network"):
            await dev.wifi.status()
