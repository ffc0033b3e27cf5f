"""The byte 0x03: data inside of messages, outside of them the way to the REPL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from moat.micro.cmd._wire import BYE, HELLO, VERSION
from moat.micro.device import Device
from moat.micro.testing.console import Console
from tests.system.raw import Raw, call
from tests.system.support import is_process, link_in

SIZES = [1, 2, 3, 7, 50, 200, 255, 256, 1000, 3900]
START = b"import moat.micro; moat.micro.start()\r"


@pytest.fixture
async def raw(target: str, device_folder: Path) -> AsyncIterator[Raw]:
    """A device that has started its stack, without a session."""
    async with link_in(target, device_folder) as link, Raw(link) as peer:
        await peer.receive(HELLO, VERSION)
        yield peer


async def ping(raw: Raw) -> None:
    """A call works whose bytes would interrupt."""
    await raw.call(3, ["sys", "ping"], b"\3" * 30)
    assert await raw.reply(3) == b"\3" * 30


async def interrupt(raw: Raw) -> None:
    """A Ctrl-C stops the stack, and gives the REPL."""
    await raw.write(b"\3")
    await raw.expect(b">>> ")


async def start_again(raw: Raw) -> None:
    """The REPL starts the stack."""
    raw.messages.clear()
    await raw.write(START)
    await raw.hello()


@pytest.mark.parametrize("size", SIZES)
async def test_inside_of_a_message_it_is_data(device: Device, size: int) -> None:
    assert await device.sys.ping(b"\3" * size) == b"\3" * size


async def test_before_the_first_hello_it_interrupts(raw: Raw) -> None:
    await interrupt(raw)
    await start_again(raw)
    await ping(raw)


async def test_in_a_session_the_reader_notices_it(raw: Raw) -> None:
    await raw.hello()
    await ping(raw)
    await interrupt(raw)
    await start_again(raw)
    await ping(raw)


async def test_after_a_session_it_interrupts(raw: Raw) -> None:
    await raw.hello()
    await ping(raw)
    await raw.send([BYE])
    await interrupt(raw)
    await start_again(raw)
    await ping(raw)


async def test_time_and_again(raw: Raw) -> None:
    for _ in range(5):
        await interrupt(raw)
        await start_again(raw)
        await ping(raw)


async def test_what_follows_it_is_for_the_repl(raw: Raw, target: str) -> None:
    if is_process(target):
        pytest.skip("there, a terminal makes a signal of it: it is not among the input")
    await raw.hello()
    await raw.write(b"\3" + b"print(6 * 7)\r")
    await raw.expect(b"\r\n42\r\n")


async def test_behind_a_broken_message_and_a_silence_it_interrupts(raw: Raw) -> None:
    await raw.hello()
    await raw.write(call(9, ["sys", "ping"], b"\3" * 1000)[:100])
    await ping(raw)  # has waited for the silence
    await interrupt(raw)


async def test_it_reaches_a_program_that_blocks(raw: Raw, target: str) -> None:
    if is_process(target):
        pytest.skip("there, a terminal makes a signal of it")
    await raw.hello()
    await raw.call(1, ["run", "put"], 0, b"print('blocked')\nwhile True: pass")
    await raw.reply(1)
    # Behind it, and ahead of the Ctrl-C: a message that contains the byte, in two pieces.
    data = call(2, ["sys", "ping"], b"\3" * 60)
    await raw.write(call(1, ["run", "start"], "p") + data[:25])
    await raw.expect(b"blocked")
    await raw.write(data[25:])
    await interrupt(raw)
    await start_again(raw)
    await ping(raw)


async def test_data_that_waits_does_not_interrupt_what_blocks(
    dev: Device, console: Console
) -> None:
    """Not even when it takes so long that the keyboard interrupt is switched on."""
    results = list[object]()

    async def block() -> None:
        results.append(await dev.probe.block(3500))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(block)
        await console.expect("<blocked>")
        results.append(await dev.sys.ping(b"\3" * 200))
    assert sorted(results, key=str) == [3500, b"\3" * 200]
    assert await dev.sys.ping(b"\3") == b"\3"  # it is off again
