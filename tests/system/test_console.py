"""Console text beside the messages: all of it arrives, in order, and nothing splits a message."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel

from moat.micro.device import Device, connect
from moat.micro.testing.console import Console
from tests.system.raw import Raw
from tests.system.support import link_in, probe, write_files

LINE = "Grüße aus 世界 🌍 – 0123456789"


async def test_text_arrives_while_calls_go_on(dev: Device, console: Console) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_say, dev, "tick", 50)
        await console.expect("tick\n")
        for i in range(50):
            assert await dev.sys.ping(i) == i
    await console.expect("tick\n" * 50)


async def _say(dev: Device, text: str, n: int) -> None:
    await dev.probe.say(text, n)


async def test_text_of_a_command_is_there_when_the_call_returns(
    dev: Device, console: Console
) -> None:
    for i in range(20):
        await dev.probe.say(f"line {i}")
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert console.text.endswith(f"line {i}\n")


async def test_text_that_came_with_the_last_reply_is_delivered(
    target: str, console: Console, device_folder: Path
) -> None:
    async with connect(link_in(target, device_folder), console=console, timeout=30) as dev:
        await dev.run.put(0, b"print('the last words')")
        await dev.run.start("words.py")
    assert console.text == "the last words\n"


async def test_utf8_is_intact_wherever_it_is_cut(dev: Device, console: Console) -> None:
    for i in range(8):
        await dev.probe.say("x" * i + LINE, 20)
    await console.expect("".join(("x" * i + LINE + "\n") * 20 for i in range(8)))
    assert "\ufffd" not in console.text


async def test_a_flood_splits_no_message_and_nothing_is_lost(
    dev: Device, console: Console
) -> None:
    n = 1000  # far more than a device can keep
    done = False

    async def shout() -> None:
        nonlocal done
        for _ in range(4):
            await dev.probe.shout(LINE, n // 4)
        done = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shout)
        while not done:
            data = bytes([0xC1, 3, 10, 13]) * 50
            assert await dev.sys.ping(data) == data
    await console.expect((LINE + "\n") * n)
    assert console.text == (LINE + "\n") * n
    assert (await dev.sys.info())["text_dropped"] == 0


async def test_a_stream_and_a_flood_share_the_port(dev: Device, console: Console) -> None:
    async with dev.probe.count(500) as values:
        first = await values.recv()
        await dev.probe.shout(LINE, 300)
        assert [first] + [value async for value in values] == list(range(500))
    await console.expect((LINE + "\n") * 300)


async def test_bytes_that_would_begin_a_message_are_changed(dev: Device, console: Console) -> None:
    await dev.probe.write(b"<\xc1\x93\x02\x01\xc0 no message>\n")
    await console.search("<[?].* no message>\n")
    assert await dev.sys.ping(1) == 1


async def test_text_from_before_the_first_host_is_delivered(
    console: Console, device_folder: Path
) -> None:
    write_files(device_folder, {"main.py": "print('hello from main')"})
    async with connect(link_in("unix", device_folder), console=console):
        await console.expect("hello from main\n")


async def test_text_that_nobody_reads_is_dropped_and_counted(device_folder: Path) -> None:
    n = 20_000  # more than pipes and buffers hold; an emulator's have no bound that is known
    write_files(device_folder, probe())
    async with link_in("unix", device_folder) as link, Raw(link) as raw:
        await raw.hello()
        raw.pause()
        await raw.call(1, ["probe", "shout"], LINE, n, "done")
        while not (device_folder / "done").exists():  # noqa: ASYNC110
            await anyio.sleep(0.01)  # the device has nothing else to tell by
        raw.resume()
        await raw.reply(1)
        await raw.call(2, ["sys", "info"])
        dropped = (await raw.reply(2))["text_dropped"]
    assert dropped > 0
    assert len(raw.text) + dropped == n * len((LINE + "\n").encode())
    assert raw.text.startswith((LINE + "\n").encode() * 1000)
