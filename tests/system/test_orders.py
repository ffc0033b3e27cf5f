"""Hosts and devices that start first, late, or twice, in random order: in the end calls work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system import orders

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("transport", orders.TRANSPORTS)
async def test_any_order_on_a_bad_line(transport: str, seed: int, device_folder: Path) -> None:
    await orders.run(transport, "lossy", seed, device_folder)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("transport", orders.TRANSPORTS)
async def test_any_order_on_a_good_line(transport: str, seed: int, device_folder: Path) -> None:
    await orders.run(transport, "plain", seed, device_folder)
