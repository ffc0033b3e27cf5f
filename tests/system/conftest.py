"""Fixtures of the system tests: devices with files of their own, and nothing left behind."""

from __future__ import annotations

import ctypes
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial, wraps
from pathlib import Path

import anyio
import pytest

from moat.micro.device import Device
from moat.micro.testing.console import Console
from tests.system.support import probe, started

Start = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Device]]

_LIMIT_S = 30
_PR_SET_CHILD_SUBREAPER = 36


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Limit the time of an async test from inside: what it waits for is in the report then."""
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):

        @wraps(test)
        async def limited(**kw: object) -> None:
            with anyio.fail_after(_LIMIT_S):
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
    left = {pid: command for pid, command in children().items() if pid not in before}
    assert not left
