"""The lossy stack on the UARTs of the emulated rp2, while its console port goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any
from zlib import crc32

import anyio
import pytest
from msgpack import packb

from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.device import Device, connect
from moat.micro.errors import AuthError
from moat.micro.stacks import build_stack
from moat.micro.testing.emulator import Emulator
from moat.micro.testing.faults import FaultBuf, Faults
from tests.system.desk import on, reset, until, write_files
from tests.system.lossy import COUNT, sample, take, times_run

LOSSY: dict[str, Any] = {"framing": "serialpacker", "reliable": {"window": 8}}

# Values that can be told apart; what was given to the link is counted.
SOURCE = """
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    given = 0

    async def cmd_given(self):
        return self.given

    async def stream_blocks(self, st, n):
        for i in range(n):
            await st.send(bytes((i & 255,)) * 200)
            self.given = i + 1
"""
FILES = {"app/count.py": COUNT, "app/source.py": SOURCE}


def config(*ports: int, **link: object) -> dict[str, Any]:
    """A config that serves these UARTs."""
    return {
        "serve": [{"link": {"kind": "serial", "port": port, **link}, **LOSSY} for port in ports]
    }


@asynccontextmanager
async def configured(cfg: dict[str, Any]) -> AsyncIterator[tuple[Emulator, Device]]:
    """A board that has started with this config, and a host on its console port."""
    async with Emulator() as board:
        await board.until(usb=True)
        async with on(board) as dev:
            await write_files(dev, {**FILES, "moat.cfg": packb(cfg)})
            await reset(board, dev)
            yield board, dev


def serving(*ports: int, **link: object) -> AbstractAsyncContextManager[tuple[Emulator, Device]]:
    """A board that serves these UARTs."""
    return configured(config(*ports, **link))


def host(board: Emulator, uart: str = "uart0", faults: Faults | None = None) -> Any:
    """A host at a UART, whose line may damage bytes."""
    link = FaultBuf(board.link(uart), 5, out=faults, inp=faults) if faults else board.link(uart)
    return connect(build_stack(LOSSY, link), timeout=25, docs=False)


@pytest.mark.parametrize("baudrate", [115200, 921600])
async def test_both_ports_serve_at_the_same_time(baudrate: int) -> None:
    async with serving(0, baudrate=baudrate) as (board, dev), host(board) as other:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, dev, range(30), 4)
            tasks.start_soon(take, other, range(100, 130), 4)
        assert await times_run(dev, 30) == [1] * 30
        (uart, _) = (await board.statistics())["uart"]
        assert abs(uart["baud"] - baudrate) < baudrate / 50
        assert (await dev.sys.info())["safe_mode"] is None


async def test_two_uarts_and_hosts_that_come_and_go() -> None:
    async with serving(0, 1, baudrate=921600) as (board, dev):
        for _ in range(4):
            async with host(board) as one, host(board, "uart1") as two:
                assert await one.sys.ping(1) == 1
                assert await two.sys.ping(2) == 2
                assert await dev.sys.ping(3) == 3


LINK = {
    "apps": {"other": "moat.micro.app.link:ClientLink"},
    "other": {"link": {"kind": "serial", "port": 0, "baudrate": 921600}, **LOSSY},
}


class Greeter(BaseCmd):
    """What the host on the UART offers."""

    async def cmd_greet(self, name: str) -> str:
        return f"hello {name}"


async def test_a_link_app_on_a_uart_leads_to_who_is_there() -> None:
    async with configured(LINK) as (board, dev):
        for n in range(4):  # they come and go
            msg = build_stack(LOSSY, board.link("uart0"))
            root = Dispatch({"greeter": Greeter()})
            async with connect(msg, root=root, timeout=25, docs=False) as other:
                assert await dev.other.greeter.greet("you") == "hello you"
                assert await other.sys.ping(n) == n
        assert (await dev.sys.info())["safe_mode"] is None


KEY = "a key of some length"


async def test_a_port_with_a_key_takes_only_who_has_it() -> None:
    cfg = config(0, baudrate=921600)
    cfg["serve"][0]["key"] = KEY
    async with configured(cfg) as (board, _):
        for key in (None, "another key, as long", KEY):
            with pytest.raises(AuthError) if key != KEY else nullcontext():
                msg = build_stack(LOSSY, board.link("uart0"))
                async with connect(msg, timeout=25, docs=False, key=key) as dev:
                    assert await dev.sys.ping(1) == 1


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"link": {"kind": "tcp", "host": "x", "port": 1}}, "kind 'serial' is needed"),
        ({"link": {"kind": "serial"}}, "needs the key 'port'"),
        ({"link": {"kind": "serial", "port": 0}, "framing": "x"}, "framing: unknown kind 'x'"),
        (5, "a port is a map"),
    ],
)
async def test_a_port_that_makes_no_sense_is_safe_mode(section: Any, why: str) -> None:
    async with configured({"serve": [section]}) as (_, dev):
        assert why in (await dev.sys.info())["safe_mode"]


async def test_a_uart_that_cannot_be_opened_keeps_nothing_from_working() -> None:
    async with serving(0, tx=1, baudrate=921600) as (_, dev):
        assert await dev.sys.ping(1) == 1
        assert (await dev.sys.info())["safe_mode"] is None


@pytest.mark.parametrize(("baudrate", "flip"), [(115200, 0.001), (921600, 0.002)])
async def test_on_a_bad_line_every_call_is_run_once(baudrate: int, flip: float) -> None:
    bad = Faults(flip=flip)
    async with serving(0, baudrate=baudrate, rxbuf=1024) as (board, dev):
        async with host(board, faults=bad) as other:
            await take(other, range(40))
        assert await times_run(dev, 40) == [1] * 40


async def test_cts_holds_the_board_back_and_nothing_is_lost() -> None:
    flow = {"baudrate": 921600, "flow": 3, "cts": 2, "rts": 3}
    async with serving(0, **flow) as (board, dev), host(board) as other:
        async with other.source.blocks(60) as values:
            assert await values.recv() == bytes(200)
            await board.hold("uart0")
            sent = (await board.statistics())["uart"][0]["from_board"]
            now = (await board.statistics())["board_ms"]
            await until(board, lambda stats: stats["board_ms"] > now + 500)
            assert (await board.statistics())["uart"][0]["from_board"] <= sent + 33
            assert await dev.source.given() < 60  # the other port goes on
            await board.hold("uart0", False)
            got = [value async for value in values]
        assert got == [bytes((i,)) * 200 for i in range(1, 60)]


async def test_rts_holds_the_host_back_while_the_loop_is_blocked() -> None:
    flow = {"baudrate": 921600, "flow": 3, "cts": 2, "rts": 3}
    async with serving(0, **flow) as (board, dev), host(board) as other:
        await dev.sys.exec("import time")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_block, dev)
            await take(other, range(20))
        assert (await board.statistics())["uart"][0]["overruns"] == 0
        assert await times_run(dev, 20) == [1] * 20


async def _block(dev: Device) -> None:
    await dev.sys.eval("time.sleep_ms(300)")


async def test_without_flow_control_what_is_lost_is_sent_again() -> None:
    async with serving(0, baudrate=921600) as (board, dev), host(board) as other:
        await dev.sys.exec("import time")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_block, dev)
            for n in range(8):
                tasks.start_soon(_take_long, other, n)
        assert (await board.statistics())["uart"][0]["overruns"] > 0
        assert await times_run(dev, 8) == [1] * 8


async def _take_long(dev: Device, n: int) -> None:
    data = sample(n, 500)
    assert await dev.count.take(n, data) == [n, crc32(data)]
