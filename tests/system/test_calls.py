"""Calls and streams: what goes through a real link to a real device, and back."""

from __future__ import annotations

import re

import anyio
import pytest

from moat.micro.cmd._wire import VERSION as PROTOCOL
from moat.micro.device import Device
from moat.micro.errors import (
    ArgumentError,
    BusyError,
    MessageTooLongError,
    NotFoundError,
    RemoteError,
)
from moat.micro.testing.console import Console
from moat.micro.version import VERSION
from tests.system.support import is_process

BOARDS = {
    "unix": ("linux", "linux"),
    "emu:qemu-arm": ("qemu", "Cortex-M3"),
    "emu:qemu-rv32": ("qemu", "RV32IMC"),
    "emu:rp2": ("rp2", "RP2040"),
}
BOTH = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@BOTH
async def test_a_call_returns_the_result(dev: Device) -> None:
    assert await dev.probe.add(40, 2) == 42


@BOTH
async def test_a_stream_gives_all_values_then_the_result(dev: Device) -> None:
    async with dev.probe.count(300) as values:
        assert [value async for value in values] == list(range(300))
    assert values.result == "counted"


@pytest.mark.parametrize(
    "value",
    [None, True, -1, 2**63 - 1, -(2**63), 0.5, "", "Grüße, 世界 🌍", b"", bytes(range(256)),
     [1, [2, [3]]], {"a": 1, "b": {"c": [None]}}],
)  # fmt: skip
async def test_values_come_back_as_they_were(device: Device, value: object) -> None:
    assert await device.sys.ping(value) == value


async def test_arguments_by_name(dev: Device) -> None:
    assert await dev.probe.add(b=5, a=1) == 6
    assert await dev.probe.add(3) == 4


async def test_dir_lists_commands_streams_and_sub_levels(dev: Device) -> None:
    root = await dev.call(["dir_"])
    assert {"sys", "run", "probe"} <= set(root["d"])
    probe = await dev.probe.dir_()
    assert {"add", "wait", "dir_"} <= set(probe["c"])
    assert probe["s"] == ["count", "on", "sum"]
    assert probe["d"] == ["lamps"]


async def test_a_path_may_contain_numbers(dev: Device) -> None:
    assert await dev.probe.lamps[1].number() == 1


async def test_an_unknown_command_says_what_there_is(dev: Device) -> None:
    with pytest.raises(NotFoundError, match=r"no 'ad' in 'probe'; there is: add,"):
        await dev.probe.ad()
    with pytest.raises(NotFoundError, match=r"no 'prob'; there is: .*probe"):
        await dev.prob.add()


async def test_a_command_is_no_stream_and_a_stream_no_command(dev: Device) -> None:
    with pytest.raises(NotFoundError, match="'count' in 'probe' is a stream"):
        await dev.probe.count(1)
    with pytest.raises(NotFoundError, match="'add' in 'probe' is a call"):
        async with dev.probe.add(1) as values:
            await values.recv()


async def test_wrong_arguments_do_not_run_the_command(dev: Device) -> None:
    for args, kw in (((), {}), ((1, 2, 3), {}), ((1,), {"c": 2})):
        with pytest.raises(ArgumentError):
            await dev.probe.add(*args, **kw)
    assert await dev.probe.add(1) == 2


async def test_an_error_that_both_sides_know_keeps_its_type(dev: Device) -> None:
    with pytest.raises(ValueError, match=r"^not good$"):
        await dev.probe.fail("ValueError", "not good")
    with pytest.raises(FileNotFoundError, match="No such file") as err:
        await dev.probe.fail("OSError", 2)
    assert err.value.errno == 2
    with pytest.raises(OSError, match="odd") as err:
        await dev.probe.fail("OSError", "odd")
    assert err.value.args == ("odd",)


async def test_an_error_that_the_host_does_not_know_is_named(dev: Device) -> None:
    with pytest.raises(RemoteError, match=r"^OwnError: too, 4$"):
        await dev.probe.fail_own()


async def test_a_result_that_cannot_be_encoded_is_an_error(dev: Device) -> None:
    with pytest.raises(TypeError, match="App"):
        await dev.probe.object()
    assert await dev.probe.add(1) == 2


async def test_an_argument_that_cannot_be_encoded_is_not_sent(device: Device) -> None:
    with pytest.raises(TypeError):
        await device.sys.ping(object())
    assert await device.sys.ping(1) == 1


async def test_arguments_that_are_too_long_are_not_sent(device: Device) -> None:
    with pytest.raises(MessageTooLongError, match=r"the peer takes \d+"):
        await device.sys.ping(bytes(5000))
    assert len(await device.sys.ping(bytes(3900))) == 3900


async def test_a_stream_that_fails_raises_behind_its_values(dev: Device) -> None:
    got: list[int] = []

    async def read() -> None:
        async with dev.probe.count(3, fail="enough") as values:
            async for value in values:
                got.append(value)  # noqa: PERF401 -- what came before the error counts

    with pytest.raises(ValueError, match=r"^enough$"):
        await read()
    assert got == [0, 1, 2]


async def test_info_tells_what_the_device_is(device: Device, target: str) -> None:
    info = await device.sys.info()
    platform, board = BOARDS[target]
    assert info["moat"] == VERSION
    assert info["protocol"] == PROTOCOL
    assert re.fullmatch(r"1\.\d+\.\d+", info["micropython"])
    assert info["platform"] == platform
    assert board in info["board"]
    assert info["mem_free"] > 50_000
    assert info["mem_alloc"] > 1000
    assert info["text_dropped"] == 0
    assert info["unique_id"] == (bytes.fromhex("e660583883724a2f") if platform == "rp2" else None)
    assert info["reset_cause"] == {"rp2": 1, "qemu": 0}.get(platform)  # 1: the power has come


@BOTH
async def test_many_calls_at_once_all_get_their_own_result(dev: Device) -> None:
    results = dict[int, int]()

    async def call(i: int) -> None:
        results[i] = await dev.probe.add(i, 1000)

    for first in range(0, 96, 16):
        async with anyio.create_task_group() as tasks:
            for i in range(first, first + 16):
                tasks.start_soon(call, i)
    assert results == {i: i + 1000 for i in range(96)}


async def test_more_calls_than_the_device_serves_are_refused(
    dev: Device, console: Console, target: str
) -> None:
    served = 90 if is_process(target) else 16
    async with anyio.create_task_group() as tasks:
        for i in range(served):
            tasks.start_soon(_wait, dev, i)
        for i in range(served):
            await console.expect(f"<{i} begins>")
        with pytest.raises(BusyError):
            await dev.sys.ping()
        tasks.cancel_scope.cancel()
    await console.expect(f"<{served - 1} ends>")
    assert await dev.probe.running() == 0


async def _wait(dev: Device, tag: object) -> None:
    await dev.probe.wait(tag)


@BOTH
async def test_cancelling_a_call_ends_it_on_the_device(dev: Device, console: Console) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_wait, dev, "one")
        await console.expect("<one begins>")
        assert await dev.probe.running() == 1
        tasks.cancel_scope.cancel()
    await console.expect("<one ends>")
    assert await dev.probe.running() == 0


@BOTH
async def test_leaving_a_stream_ends_it_on_the_device(dev: Device, console: Console) -> None:
    async with dev.probe.on("S") as values:
        for i in range(5):
            assert await values.recv() == i
    await console.expect("<S ends at ")
    assert await dev.probe.add(1) == 2


async def test_a_slow_reader_holds_the_device_back(dev: Device, console: Console) -> None:
    size, window = 1000, 1 << 16
    async with dev.probe.on("S", size) as values:
        while len(values._items) < window // (size + 10):
            await dev.sys.ping()  # calls go on
        for _ in range(20):
            await dev.sys.ping()
    sent = int((await console.search(r"<S ends at (\d+)>"))[1])
    assert sent <= window // size + 1
