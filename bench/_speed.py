"""The unix image with the app that benchmarks call."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from moat.micro.device import Device, connect
from moat.micro.target import link_to

__all__ = ("speedy",)

_APP = Path(__file__).parent / "device" / "speed.py"


@asynccontextmanager
async def speedy() -> AsyncIterator[Device]:
    """A unix image on pipes, with the app `speed`."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "app").mkdir()
        shutil.copy(_APP, Path(folder) / "app")
        async with connect(link_to("emu:unix", cwd=folder)) as dev:
            yield dev
