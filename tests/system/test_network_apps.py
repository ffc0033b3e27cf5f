"""Networks from a device's config, on the unix image with its simulated `network`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgpack import packb

from moat.micro.device import Device, connect
from moat.micro.errors import NotReadyError
from moat.micro.target import link_to
from tests.system.support import link_in

PASSWORD = "correct horse"
CFG: dict[str, Any] = {
    "apps": {
        "wifi": "moat.micro.app.wlan:WlanCmd",
        "up": "moat.micro.app.server:LinkServer",
        "sim": "moat.micro.app.sim:SimCmd",
    },
    "wifi": {"ssid": "home", "password": PASSWORD, "retry": {"base_ms": 20, "max_ms": 20}},
    "up": {"needs": "wifi", "link": {"kind": "tcp", "port": 0}, "insecure": True},
}


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Device]:
    (tmp_path / "moat.cfg").write_bytes(packb(CFG))
    async with connect(link_in("unix", tmp_path)) as dev:
        yield dev


async def test_a_server_is_started_when_the_network_is_up(dev: Device) -> None:
    assert await dev.up.rdy_() == {"state": "starting", "waits_for": "wifi"}
    with pytest.raises(NotReadyError, match="the app 'up' waits for the app 'wifi'"):
        await dev.up.address()
    async with dev.wifi.watch() as states:
        while (await states.recv()).get("why") != "there is no such access point":
            pass
        await dev.sim.air("home", PASSWORD)
        while (await states.recv())["state"] != "up":
            pass
    await dev.up.rdy_(wait=True)
    async with connect(link_to("tcp:" + await dev.up.address())) as near:
        assert (await near.wifi.status())["ip"][0] == "192.168.4.16"


async def test_a_password_cannot_be_read_back(dev: Device) -> None:
    await dev.sim.air("home", PASSWORD)
    await dev.wifi.rdy_(wait=True)
    assert await dev.cfg.get(["wifi", "password"]) == "***"
    assert (await dev.cfg.get(["wifi"]))["password"] == "***"
    everything = [await dev.cfg.get(), await dev.wifi.status(), await dev.wifi.scan()]
    assert PASSWORD not in repr(everything)
    # What was read can be written back: it is still the password.
    await dev.cfg.set(["wifi"], {**await dev.cfg.get(["wifi"]), "hostname": "room"})
    await dev.cfg.save()
    await dev.wifi.rdy_(wait=True)
    await dev.cfg.set(["wifi", "password"], "short")
    await dev.cfg.save()
    with pytest.raises(NotReadyError, match="no text of 8 to 63 bytes") as info:
        await dev.wifi.status()
    assert "'short'" not in str(info.value)
