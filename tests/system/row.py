"""Unix images in a row, joined by link apps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from msgpack import packb

from moat.micro.boards import load
from moat.micro.cmd.tree import Dispatch
from moat.micro.device import Device, connect
from moat.micro.errors import LinkLost, LostCallError
from moat.micro.testing.console import Console
from tests.system.support import link_in, write_files

NEXT = {"next": "moat.micro.app.link:ClientLink"}
UP = {"up": "moat.micro.app.server:LinkServer"}

_QUICK = {"base_ms": 10, "max_ms": 50}
_SERVED = 90


def client(**link: object) -> dict[str, Any]:
    """The section of the app `next`, which connects there."""
    return {"link": link, "reconnect": _QUICK, "insecure": True}


def server(**link: object) -> dict[str, Any]:
    """The section of the app `up`, which listens there."""
    return {"link": link, "insecure": True, "max_served": _SERVED}


def write_device(folder: Path, cfg: object, files: Mapping[str, str]) -> None:
    """Put config and files where an image will be started."""
    folder.mkdir()
    write_files(folder, files)
    (folder / "moat.cfg").write_bytes(packb(cfg))


@asynccontextmanager
async def device(
    folder: Path, root: Dispatch | None = None, console: Console | None = None
) -> AsyncIterator[Device]:
    """Start the image in this folder."""
    kw: dict[str, Any] = {} if console is None else {"console": console}
    async with connect(link_in("unix", folder), root=root, timeout=30, **kw) as dev:
        yield dev


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[Process]:
    """Start the image in this folder, without a host; it may be killed."""
    async with await anyio.open_process([load("unix").image_path], cwd=folder) as process:
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def connected(call: Callable[[], Awaitable[object]]) -> None:
    """Wait until a call goes through."""
    while True:
        try:
            await call()
        except (LostCallError, LinkLost):
            await anyio.sleep(0.01)
        else:
            return


@asynccontextmanager
async def two(
    folder: Path, files: Mapping[str, str], root: Dispatch | None = None
) -> AsyncIterator[Device]:
    """Start two images with these files: `next` of the first is the second, on a Unix socket."""
    write_device(
        folder / "one", {"apps": NEXT, "next": client(kind="unix", path="../two/sock")}, files
    )
    write_device(folder / "two", {"apps": UP, "up": server(kind="unix", path="sock")}, files)
    async with alone(folder / "two"), device(folder / "one", root) as dev:
        await dev.next.rdy_(wait=True)
        yield dev
