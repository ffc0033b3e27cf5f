"""Link apps: the host, a unix image, a second one (named socket), a third one (TCP)."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.device import Command, Device
from moat.micro.errors import (
    CallNotRunError,
    LinkLost,
    LostCallError,
    RemoteError,
)
from tests.system import row
from tests.system.row import NEXT, UP, alone, client, connected, server, write_device
from tests.system.support import probe

BACK = """
from moat.micro import rt
from moat.micro.cmd.here import current
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    async def cmd_way(self):
        return current().return_path

    async def cmd_greet(self, name):
        call = current()
        path = call.return_path + ["greeter", "greet"]
        link, n = call.link.root.find(path)
        return await link.call(path[n:], name)

    async def cmd_nap(self, ms):
        await rt.sleep_ms(ms)
        return ms
"""


class Greeter(BaseCmd):
    """What the host offers."""

    async def cmd_greet(self, name: str) -> str:
        return f"hello {name}"


def free_port() -> int:
    """A TCP port that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def configs(port: int) -> dict[str, dict[str, Any]]:
    """The configs of the three devices, by their names."""
    return {
        "one": {"name": "one", "apps": NEXT, "next": client(kind="unix", path="../two/sock")},
        "two": {
            "name": "two",
            "apps": {**NEXT, **UP},
            "next": client(kind="tcp", host="127.0.0.1", port=port),
            "up": server(kind="unix", path="sock"),
        },
        "three": {"name": "three", "apps": UP, "up": server(kind="tcp", port=port)},
    }


def device(folder: Path) -> AbstractAsyncContextManager[Device]:
    """Start the image in this folder."""
    return row.device(folder, Dispatch({"greeter": Greeter()}))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The folders of the devices, by their names."""
    found = dict[str, Path]()
    for name, cfg in configs(free_port()).items():
        found[name] = tmp_path / name
        write_device(found[name], cfg, {**probe(), "app/back.py": BACK})
    return found


@pytest.fixture
async def chain(folders: dict[str, Path]) -> AsyncIterator[tuple[Device, Device]]:
    """The first device of the row, and the last one as it is seen by a host of its own."""
    async with AsyncExitStack() as stack:
        last = await stack.enter_async_context(device(folders["three"]))
        await stack.enter_async_context(alone(folders["two"]))
        first = await stack.enter_async_context(device(folders["one"]))
        await first.next.rdy_(wait=True)
        await first.next.next.rdy_(wait=True)
        yield first, last


async def test_calls_and_values_go_through_three_hops(chain: tuple[Device, Device]):
    far = chain[0].next.next
    assert await far.probe.add(40, b=2) == 42
    assert await far.probe.lamps[1].number() == 1
    assert await far.sys.ping({"x": [1.1, None, b"\x00" * 2000]}) == {
        "x": [1.1, None, b"\x00" * 2000]
    }
    here = await chain[0].next.dir_()
    assert here["l"] == ["host", "next"]
    assert await chain[0].next.up.address() == "sock"


async def test_streams_go_through_three_hops(chain: tuple[Device, Device]):
    far = chain[0].next.next
    async with far.probe.count(500) as st:
        assert [value async for value in st] == list(range(500))
        assert st.result == "counted"
    async with far.probe.sum() as st:
        for n in range(100):
            await st.send(n)
        await st.finish()
        assert [value async for value in st][-1] == 4950
        assert st.result == 4950


async def test_errors_come_back_through_three_hops(chain: tuple[Device, Device]):
    far = chain[0].next.next
    with pytest.raises(ValueError, match="odd") as info:
        await far.probe.fail("ValueError", "odd").using(traceback=True)
    error: Any = info.value
    assert (error.path, error.at) == ("next.next.probe.fail", "next.next")
    assert "cmd_fail" in error.remote_traceback
    with pytest.raises(RemoteError, match="OwnError"):
        await far.probe.fail_own()
    async with far.probe.count(3, "late") as st:
        assert [await st.recv() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="late"):
            await st.recv()


async def running(last: Device, n: int) -> None:
    """Wait until `n` calls wait at the last device."""
    while await last.probe.running() != n:
        await last.sys.ping()


async def test_cancelling_reaches_the_far_end(chain: tuple[Device, Device]):
    first, last = chain
    async with anyio.create_task_group() as tasks:
        for tag in "abc":
            tasks.start_soon(_wait, first.next.next.probe, tag)
        await running(last, 3)
        tasks.cancel_scope.cancel()
    await running(last, 0)
    with anyio.move_on_after(0.2):
        await first.next.next.probe.wait("deadline")
    await running(last, 0)
    async with first.next.next.probe.on("left") as st:
        assert [await st.recv() for _ in range(3)] == [0, 1, 2]
    assert await first.next.next.probe.add(1) == 2


async def _wait(node: Command, tag: str) -> None:
    await node.wait(tag)


async def test_the_trace_and_the_way_back_name_all_hops(chain: tuple[Device, Device]):
    back = chain[0].next.next.back
    assert await back.way() == ["up", 0]
    call = back.greet("you").using(trace=True)
    assert await call == "hello you"
    assert [name for name, _ in call.trace] == ["one", "two", "three"]
    times = [us for _, us in call.trace]
    assert times == sorted(times, reverse=True)
    assert await back.way().using(trace=True) == ["up", 0, "up", 0, "host"]


# ---- the device in the middle is killed

CALLS, STREAMS, AT_ONCE = 200, 20, 60
LIMIT_S, SLACK_S = 3.0, 5.0


class Outcomes:
    """What becomes of many calls and streams; each has the same time."""

    def __init__(self, far: Command) -> None:
        self.far = far
        self.ended = dict[str, int]()  # what it ended with -> how often
        self.longest = 0.0
        self._one = anyio.Event()  # has ended
        self._room = anyio.CapacityLimiter(AT_ONCE)

    async def call(self, n: int) -> None:
        async with self._room:
            await self._end(self._nap, 1 + n % 40)

    async def stream(self, _n: int) -> None:
        await self._end(self._read)

    async def _nap(self, ms: int) -> None:
        assert await self.far.back.nap(ms) == ms

    async def _read(self) -> None:
        async with self.far.probe.on("stream") as st:
            n = 0
            async for value in st:
                assert value == n
                n += 1
                await anyio.sleep(0.002)

    async def _end(self, fn: Callable[..., Awaitable[None]], *args: Any) -> None:
        begin = anyio.current_time()
        try:
            with anyio.fail_after(LIMIT_S):
                await fn(*args)
            how = "result"
        except (LostCallError, LinkLost, TimeoutError) as exc:
            how = type(exc).__name__
        self.ended[how] = self.ended.get(how, 0) + 1
        self._one.set()
        self.longest = max(self.longest, anyio.current_time() - begin)

    async def reached(self, n: int) -> None:
        """Wait until `n` have ended."""
        while sum(self.ended.values()) < n:
            self._one = anyio.Event()
            await self._one.wait()


@pytest.mark.parametrize("at_once", [True, False])
async def test_killing_the_middle_device_ends_all_that_goes_through_it(
    folders: dict[str, Path], at_once: bool
):
    """It is back at once, or only when all is over."""
    async with device(folders["three"]) as last, device(folders["one"]) as first:
        far = first.next.next
        outcomes = Outcomes(far)
        async with anyio.create_task_group() as tasks:
            async with alone(folders["two"]) as process:
                await connected(far.sys.ping)
                for n in range(STREAMS):
                    tasks.start_soon(outcomes.stream, n)
                for n in range(CALLS):
                    tasks.start_soon(outcomes.call, n)
                await outcomes.reached(CALLS // 4)
                process.kill()
                await process.wait()
            if not at_once:
                await outcomes.reached(CALLS + STREAMS)
                with pytest.raises(CallNotRunError, match="not connected"):
                    await far.sys.ping()
            async with alone(folders["two"]):
                await connected(far.sys.ping)
                await outcomes.reached(CALLS + STREAMS)
                assert await far.sys.ping(1) == 1
        assert outcomes.longest < LIMIT_S + SLACK_S
        assert outcomes.ended["result"] >= CALLS // 4
        assert sum(outcomes.ended.values()) == CALLS + STREAMS
        assert CALLS + STREAMS - outcomes.ended["result"] >= STREAMS
        while first._cmd.core.calls:  # the end of those that were cancelled is yet to be told
            await first.sys.ping()
        await running(last, 0)


async def test_a_call_to_a_device_that_is_off_says_so(folders: dict[str, Path]):
    async with device(folders["one"]) as first:
        with pytest.raises(CallNotRunError, match="not connected") as info:
            await first.next.sys.ping()
        assert info.value.at == ""
        assert info.value.path == "next.sys.ping"
