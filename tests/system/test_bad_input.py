"""Whatever arrives, the device goes on: it is skipped, or an error for who sent it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from msgpack import packb

from moat.micro.cmd._wire import (
    BYE,
    CALL,
    CANCEL,
    CREDIT,
    ERROR,
    HELLO,
    ITEM,
    REPLY,
    VERSION,
)  # fmt: skip
from moat.micro.device import connect
from moat.micro.errors import ArgumentError, CallUnknownError, LinkLost, NotFoundError
from moat.micro.net.process import ProcessLink
from moat.micro.testing.console import Console
from tests.system.raw import OWN, Raw, message
from tests.system.support import link_in, write_files

DEEP = 1000

WAITS = b"""
import asyncio
async def main():
    print("waiting")
    await asyncio.Event().wait()
"""

# Leaves 40 KB of the heap.
FILL = """
import gc
kept = []
gc.collect()
for size in (10000, 1000, 100):
    while gc.mem_free() > 40000 + size:
        kept.append(bytearray(size - 48))
"""

# A main.py that ends the process when a host runs the program above.
ENDS = """
import asyncio, sys
async def main():
    while "moat.micro.app.run" not in sys.modules:
        await asyncio.sleep_ms(10)
    sys.exit()
"""

# No 0x03 outside of messages: that is a Ctrl-C.
SKIPPED = {
    "text": b"Hello?\r\n" + bytes(range(4, 0xC1)) + b"\xff" * 40,
    "prefixes": b"\xc1" * 40,
    "no type": b"\xc1\x93\x01\xc1\xc1 rest",
    "no UTF-8": message([CALL, 9, ["sys", "xxxx"]]).replace(b"xxxx", b"\xff\xfe\xfd\xfc"),
    "a map as key": b"\xc1\x81\x80\x01",
    "announced too long": b"\xc1\xc6\x00\x00\x20\x00 and so on",
    "announced far too long": b"\xc1\xdd\xff\xff\xff\xff\x01\x02",
    "deep array": b"\xc1" + b"\x91" * DEEP + b"\xc0",
    "deep map": b"\xc1" + b"\x81\x01" * DEEP + b"\xc0",
    "no array": message(5) + message("text") + message(None) + message({}) + message(b""),
    "empty": message([]),
    "unknown kind": message([99, 1, 2]) + message(["call", 1]) + message([None]) + message([[]]),
    "too short": b"".join(message([kind]) for kind in range(10) if kind != BYE),
    "no id": message([CALL, "x", ["sys", "ping"]]) + message([CALL, None, ["sys", "ping"]]),
    "no path": message([CALL, 9, "sys"]) + message([CALL, 9, None]) + message([CALL, 9, 7]),
    "no such call": message([CANCEL, 77]) + message([CREDIT, 77, 5]) + message([CANCEL, [1]]),
    "no credit": message([CALL, 9, ["sys", "ping"], b"", "much"]) + message([CREDIT, 9, "x"]),
    "never asked": message([REPLY, 9]) + message([ERROR, 9, ["X"]]) + message([ITEM, 9, b"\1"]),
    "bad hello": b"".join(map(message, ([HELLO], [HELLO, VERSION], [HELLO, VERSION, [], {}, ""]))),
}  # fmt: skip

REFUSED: dict[str, tuple[list[Any], type[Exception]]] = {
    "deep arguments": ([["sys", "ping"], b"\x91" * DEEP + b"\xc0"], ArgumentError),
    "arguments that are none": ([["sys", "ping"], b"\xc1"], ArgumentError),
    "arguments cut off": ([["sys", "ping"], b"\x92\x01"], ArgumentError),
    "arguments of three parts": ([["sys", "ping"], b"\x91\x01\x80\x05"], ArgumentError),
    "arguments that are a number": ([["sys", "ping"], 5], ArgumentError),
    "names that are numbers": ([["sys", "ping"], b"\x81\x05\x01"], ArgumentError),
    "an empty path": ([[]], NotFoundError),
    "a path of the wrong types": ([[None, ["sys"], {}]], NotFoundError),
    "a private name": ([["sys", "__class__"]], NotFoundError),
}


@pytest.fixture
async def raw(target: str, device_folder: Path) -> AsyncIterator[Raw]:
    """A device with a session of our own making."""
    async with link_in(target, device_folder) as link, Raw(link) as peer:
        with anyio.fail_after(20):
            await peer.hello()
        yield peer


async def ping(raw: Raw, ident: int = 1) -> None:
    """A good call works."""
    with anyio.fail_after(10):
        await raw.call(ident, ["sys", "ping"], ident)
        assert await raw.reply(ident) == ident


async def refused(raw: Raw, args: list[Any], error: type[Exception]) -> None:
    """A bad call ends with this error."""
    await raw.send([CALL, 5, *args])
    with pytest.raises(error):
        await raw.reply(5)


@pytest.mark.parametrize("name", SKIPPED)
async def test_nonsense_is_skipped(raw: Raw, name: str) -> None:
    await raw.write(SKIPPED[name])
    await ping(raw)
    await ping(raw, 2)


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_call_is_an_error_for_its_caller(raw: Raw, name: str) -> None:
    await refused(raw, *REFUSED[name])
    await ping(raw)


async def test_an_oversized_message_is_skipped(raw: Raw) -> None:
    await raw.write(message([CALL, 9, ["sys", "ping"], bytes(6000)]))
    await ping(raw)


async def test_behind_a_truncated_message_the_next_one_counts(raw: Raw) -> None:
    whole = message([CALL, 9, ["sys", "ping"], packb(["x" * 100])])
    for n in (1, 2, 5, 60):
        await raw.write(whole[:n])
        await ping(raw)  # the silence while it waits ends the truncated one
    assert not [m for m in raw.messages if m[1] == 9]


async def test_a_message_in_pieces_is_whole(raw: Raw) -> None:
    for c in message([CALL, 9, ["sys", "ping"], packb(["slowly"])]):
        await raw.write(bytes([c]))
        await anyio.lowlevel.checkpoint()
    assert await raw.reply(9) == "slowly"


async def test_bad_input_costs_no_memory(raw: Raw) -> None:
    async def free() -> int:
        await raw.call(1, ["sys", "info"])
        return (await raw.reply(1))["mem_free"]

    async def misbehave(times: int) -> None:
        for i in range(times):
            await raw.write(nonsense[i % len(nonsense)])
            await refused(raw, *bad[i % len(bad)])
            await ping(raw)
        raw.messages.clear()

    nonsense = [data for data in SKIPPED.values() if len(data) < DEEP]
    nonsense[0] *= 8  # text: until as much of it is kept as ever
    bad = list(REFUSED.values())
    await misbehave(2 * len(nonsense))  # what is set up on first use, what is kept of the text
    before = await free()
    await misbehave(200)
    assert await free() > before - 2048  # buffers come and go; 16 bytes each would be more


async def test_names_that_nothing_has_cost_no_memory(raw: Raw) -> None:
    async def free() -> int:
        await raw.call(1, ["sys", "info"])
        return (await raw.reply(1))["mem_free"]

    async def ask(n: int) -> None:
        name = f"{n:03}" + "x" * 200
        await refused(raw, [["sys", name]], NotFoundError)
        await refused(raw, [name], NotFoundError)
        await refused(raw, [["sys", "ping"], packb({name: 1})], ArgumentError)
        await refused(raw, [["sys", "ping"], packb({name[:20]: 1})], ArgumentError)

    for n in range(20):  # a few short names of arguments may be kept
        await ask(n)
    before = await free()
    for n in range(20, 40):
        await ask(n)
    assert await free() > before - 2048


async def test_a_message_that_does_not_fit_into_memory_ends_its_session(raw: Raw) -> None:
    await ping(raw)
    await raw.call(1, ["sys", "exec"], FILL)
    await raw.reply(1)
    raw.messages.clear()
    await raw.send([CALL, 9, [[]] * 4000])  # a byte each here, 32 or more there
    with anyio.fail_after(10):
        await raw.receive(HELLO, VERSION)
        await raw.hello()
    await ping(raw)


async def test_another_version_is_refused_and_the_next_host_welcome(raw: Raw) -> None:
    await raw.send([HELLO, VERSION + 1, OWN + 0x100, None, 4096, {}])
    await raw.receive(HELLO, VERSION)  # it tells its own
    await raw.hello()
    await ping(raw)


async def test_a_host_that_starts_anew_ends_its_old_calls(raw: Raw) -> None:
    await raw.call(1, ["run", "put"], 0, WAITS)
    await raw.reply(1)
    await raw.call(2, ["run", "start"], "p")
    await raw.hello(OWN ^ 0x100)
    await ping(raw, 2)  # the id is free again


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_device_that_dies_ends_the_call_and_says_how(
    target: str, device_folder: Path, console: Console
) -> None:
    link = link_in(target, device_folder)
    assert isinstance(link, ProcessLink)
    async with connect(link, console=console, timeout=30) as dev:
        await dev.run.put(0, WAITS)

        async def die() -> None:
            await console.expect("waiting")
            assert link.process is not None
            os.kill(link.process.pid, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(die)
            with pytest.raises(CallUnknownError, match="has ended by signal 9"):
                await dev.run.start("p")
        with pytest.raises(LinkLost, match="has ended by signal 9"):
            await dev.sys.ping()


async def test_a_device_that_ends_by_itself_ends_the_call(device_folder: Path) -> None:
    write_files(device_folder, {"main.py": ENDS})
    async with connect(link_in("unix", device_folder)) as dev:
        await dev.run.put(0, WAITS)
        with pytest.raises(CallUnknownError, match="closed the link"):
            await dev.run.start("p")


async def test_a_device_that_does_not_start_says_why(tmp_path: Path) -> None:
    link = ProcessLink(["sh", "-c", "echo 'no such thing' >&2; exit 5"], cwd=str(tmp_path))
    with pytest.raises(LinkLost, match="has ended with status 5: no such thing"):
        async with connect(link):
            pass


async def test_a_device_without_a_stack_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LinkLost, match=r"has not answered in 0.2 seconds"):
        async with connect(ProcessLink(["cat"], cwd=str(tmp_path)), timeout=0.2):
            pass
