"""Fixtures of the system tests: devices with files of their own, and nothing left behind."""

from __future__ import annotations

import ctypes
import inspect
import os
import re
import select
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial, wraps
from pathlib import Path

import anyio
import pytest

from moat.micro.device import Device
from moat.micro.testing.console import Console
from tests.system.support import probe, started

Start = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Device]]

_LIMIT_S = 30
_ENDING_S = 5
_LIMIT_OF_RP2_S = 120  # its processor is emulated instruction by instruction

# On the emulated rp2 a test takes seconds. These, the longest and those that differ from others in
# their data only, run there if --target says so; `make test` without them takes minutes less.
_LEFT_OUT_ON_RP2 = re.compile(r"""
    test_apps\.py::test_(stop_and|an_app_that|safe_mode|a_set_up)
    | test_bad_input\.py::(test_nonsense|test_a_bad_call|.*no_memory)
    | test_calls\.py::(.*trio|test_values_come_back)
    | test_frames\.py::.*(it_reaches|it_is_data)
    | test_interrupt\.py::test_inside_of_a_message_it_is_data.*rp2-(?!200)
    | test_load\.py
    | test_lossy\.py::(?!test_it_reaches)
    | test_msgpack_floats\.py::test_integers
    | test_program\.py::test_(an_app_that|a_program_of_many)
    """, re.VERBOSE)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave some tests out on the emulated rp2, unless it was asked for."""
    if config.getoption("target"):
        return
    left_out = [
        item for item in items if "emu:rp2" in item.nodeid and _LEFT_OUT_ON_RP2.search(item.nodeid)
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


_PR_SET_CHILD_SUBREAPER = 36


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Limit the time of an async test from inside: what it waits for is in the report then."""
    test = pyfuncitem.obj
    on_rp2 = "rp2" in pyfuncitem.nodeid
    if inspect.iscoroutinefunction(test):

        @wraps(test)
        async def limited(**kw: object) -> None:
            limit_s = _LIMIT_OF_RP2_S if on_rp2 else _LIMIT_S
            with anyio.fail_after(limit_s):
                await test(**kw)

        pyfuncitem.obj = limited


@pytest.fixture
def anyio_backend() -> str:
    """One backend is enough where real devices are concerned; some tests ask for both."""
    return "asyncio"


@pytest.fixture
def start(target: str, device_folder: Path, console: Console) -> Start:
    """Start the target with the files that are given, name -> text."""
    return partial(started, target, device_folder, console)


@pytest.fixture
async def dev(start: Start) -> AsyncIterator[Device]:
    """A device with the app `probe`."""
    async with start(probe()) as device:
        yield device


def children() -> dict[int, str]:
    """Our child processes that have not ended: id -> command line."""
    found = dict[int, str]()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended just now
    return found


@pytest.fixture(scope="session")
def adopt() -> None:
    """Become the parent of what our children leave behind."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture(autouse=True)
def nothing_left(adopt: None) -> Iterator[None]:
    """No test leaves a process behind."""
    before = children()
    yield
    for pid in children().keys() - before.keys():  # what ends with its parent takes a moment
        with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid)) as ended:
            select.select([ended], [], [], _ENDING_S)
    left = {pid: command for pid, command in children().items() if pid not in before}
    assert not left
