"""What the system tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from moat.micro.cmd.tree import Dispatch
from moat.micro.device import Device, connect, ready
from moat.micro.errors import LostCallError
from moat.micro.program import run_program
from moat.micro.proto.stack import BaseBuf
from moat.micro.target import link_to
from moat.micro.testing.console import Console

ROOT = Path(__file__).parents[2]
DEVICE_FILES = Path(__file__).parent / "device"

WRITE = """
import os
for folder in {folders!r}:
    try:
        os.mkdir(folder)
    except OSError:  # it exists
        pass
for name, text in {files!r}.items():
    with open(name, "w") as file:
        file.write(text)
"""

# SystemExit ends the stack, and on a bare machine that is a soft reset.
RESET = """
import asyncio
async def main():
    async def leave():
        raise SystemExit
    asyncio.create_task(leave())
    await asyncio.Event().wait()
"""


def probe() -> dict[str, str]:
    """The files of the device that most tests use: name -> text."""
    return {
        str(path.relative_to(DEVICE_FILES)): path.read_text(encoding="utf-8")
        for path in DEVICE_FILES.rglob("*.py")
    }


def is_process(target: str) -> bool:
    """Whether the device is a process with a folder of this machine for its files."""
    return target in ("unix", "emu:unix")


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Put files where a unix image looks for them."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


async def reset(dev: Device) -> None:
    """Restart an emulated device, and wait until its stack has started again."""
    try:
        await run_program(dev, RESET)
    except LostCallError:
        pass
    await ready(dev)


async def put_files(dev: Device, files: Mapping[str, str]) -> None:
    """Write files to an emulated device's disk, and restart it."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
    await run_program(dev, WRITE.format(folders=folders, files=dict(files)))
    await reset(dev)


@asynccontextmanager
async def started(
    target: str,
    folder: Path,
    console: Console,
    files: Mapping[str, str],
    root: Dispatch | None = None,
) -> AsyncIterator[Device]:
    """A connected device that has started with these files, wherever it keeps them."""
    if is_process(target):
        write_files(folder, files)
    link = link_in(target, folder)
    async with connect(link, root=root, console=console, timeout=30) as dev:
        if not is_process(target):
            await put_files(dev, files)
            # What it says from its start on, as a process does.
            console.text = console.text.rpartition("soft reboot\n")[2]
        yield dev


def link_in(target: str, folder: Path) -> BaseBuf:
    """The link to a target that is yet to be started, with this folder for its files."""
    return link_to(target, cwd=str(folder))
