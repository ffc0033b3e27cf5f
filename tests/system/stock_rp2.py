"""By hand: our package on an emulated RP2040 with stock MicroPython.

    build/venv/bin/python -m tests.system.stock_rp2 [rp2-stock|rp2-romfs]

It builds that image (minutes, the first time), installs the package, talks to it, and prints what
heap is free. rp2-romfs has a partition for a ROMFS, which MicroPython's own image has not.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from moat.micro import rt
from moat.micro.boards import load, parse
from moat.micro.device import connect
from moat.micro.flash import stock
from moat.micro.flash.by_mpremote import open_repl, restart
from moat.micro.testing.emulator import Emulator
from tests.system.test_stock import APP, USER_MAIN, put, session
from tools.build import build

BOARDS = Path(__file__).parents[1] / "boards"


def _prepare(port: str) -> int:
    with open_repl(port) as repl:
        heap = stock.measure(repl).heap
        put(repl, "app/app.py", APP)
        put(repl, "user_main.py", USER_MAIN)
    return heap


def _install(port: str, package: dict[str, bytes]) -> None:
    stock.install(port, package, say=print, progress=lambda *_: None)


def _again(port: str) -> None:
    with open_repl(port) as repl:
        restart(repl)


async def _prove(firmware: Path, package: dict[str, bytes], image: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Emulator(
            image=firmware, folder=folder, flash=Path(folder, "flash")
        ) as emulator:
            await emulator.until(usb=True)
            port = str(emulator.ptys["usb"])
            heap = await to_thread.run_sync(_prepare, port)
            began = anyio.current_time()
            await to_thread.run_sync(_install, port, package)
            print(f"installed in {anyio.current_time() - began:.0f} s")
            free = await stock.verify(port, image, timeout=30)
            print(f"image {image} runs: of {heap:,} bytes of heap {free:,} are free")
            said = list[str]()
            await session(port, said)
            assert all(f"count {i}" in "".join(said) for i in range(30))
            await to_thread.run_sync(_again, port)  # by mpremote, beside the stack
            await emulator.reset()
            await emulator.until(usb=True)
            async with connect(port, timeout=30) as dev:
                assert await dev.sys.ping(m=1) == 1
            print("it talks; mpremote gets in; it is back after a reset")
            await to_thread.run_sync(partial(stock.uninstall, port, say=print))


def main() -> None:
    """Build, then prove."""
    name = sys.argv[1] if sys.argv[1:] else "rp2-stock"
    firmware = build(parse(BOARDS / name / "board.toml"))
    path = build(load("stock"))
    rt.run(partial(_prove, firmware, stock.read_package(path), stock.image_hash(path)))


if __name__ == "__main__":
    main()
