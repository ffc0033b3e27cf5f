"""Sequential calls of sys.ping to the unix image, against a bare loop of JSON lines.

Both talk through the pipes of a process of the same image, started by anyio on asyncio. The bare
loop does what any way to call a device has to do, and nothing else: encode, write, wait, read,
decode on either side, and asyncio on both.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from bench._figure import Figure, at_most
from bench._rounds import in_turn
from moat.micro.boards import load
from moat.micro.device import connect

__all__ = ("bare_loop", "measure")

_BARE = r"""
import asyncio, json, sys
async def main():
    inp = asyncio.StreamReader(sys.stdin.buffer)
    out = sys.stdout.buffer
    while True:
        line = await inp.readline()
        if not line:
            return
        out.write(json.dumps(json.loads(line)) + "\n")
asyncio.run(main())
"""
_MESSAGE = {"id": 1, "path": ["sys", "ping"]}


@asynccontextmanager
async def bare_loop() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Yield the function that makes one call of the bare loop."""
    image = load("unix").image_path
    async with await anyio.open_process([str(image), "-c", _BARE]) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        async def call() -> Any:
            await stdin.send(json.dumps(_MESSAGE).encode() + b"\n")
            line = b""
            while not line.endswith(b"\n"):
                line += await stdout.receive()
            return json.loads(line)

        if await call() != _MESSAGE:
            raise RuntimeError("the bare loop does not echo")
        yield call
        await stdin.aclose()


async def measure() -> list[Figure]:
    """The ratio of the medians, and both of them in microseconds."""
    async with connect("emu:unix") as dev, bare_loop() as bare:

        async def ping() -> Any:
            return await dev.sys.ping()

        median = await in_turn({"ours": ping, "bare": bare}, rounds=40, calls=50)
    return [
        Figure("ping_unix", median["ours"] / median["bare"], "x bare JSON loop", at_most(1.6)),
        Figure("ping_unix.ours", median["ours"] * 1e6, "us"),
        Figure("ping_unix.bare", median["bare"] * 1e6, "us"),
    ]
