"""The pytest plugin: tests against devices.

    pytest --target unix --target emu:qemu-arm

Tests that use the fixture `device` run once for each target. They are async (anyio). What the
device prints is in `console`, and in pytest's report when the test fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # a pytest run without devices imports none of it
    from pathlib import Path

    from moat.micro.device import Device
    from moat.micro.testing.console import Console


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --target."""
    group = parser.getgroup("moat-satellite")
    group.addoption(
        "--target", action="append", metavar="DEVICE",
        help="run device tests on this one: emu:BOARD, process:COMMAND, a serial port; may be "
        "given several times (default: the ini option moat_targets, else unix)",
    )  # fmt: skip
    parser.addini("moat_targets", "default of --target", type="linelist", default=[])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each target."""
    if "target" in metafunc.fixturenames:
        config = metafunc.config
        targets = config.getoption("target") or config.getini("moat_targets") or ["unix"]
        metafunc.parametrize("target", targets, scope="session")


@pytest.fixture
def console() -> Console:
    """What the device has printed since the test began."""
    from moat.micro.testing.console import Console

    return Console()


@pytest.fixture
def device_folder(tmp_path: Path) -> Path:
    """The folder that a unix image takes for the root of its files; empty at first."""
    folder = tmp_path / "device"
    folder.mkdir()
    return folder


@pytest.fixture
async def device(target: str, console: Console, device_folder: Path) -> AsyncIterator[Device]:
    """The connected device; an emulated one is started for each test."""
    from moat.micro.device import connect
    from moat.micro.target import link_to

    link = link_to(target, cwd=str(device_folder))
    async with connect(link, console=console, timeout=30) as dev:
        yield dev
