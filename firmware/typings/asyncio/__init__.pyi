"""Types of MicroPython's asyncio 1.25: exactly what it has, not what CPython has."""

from asyncio.core import (
    CancelledError as CancelledError,
)
from asyncio.core import (
    IOQueue as IOQueue,
)
from asyncio.core import (
    Loop as Loop,
)
from asyncio.core import (
    Task as Task,
)
from asyncio.core import (
    TimeoutError as TimeoutError,
)
from asyncio.core import (
    create_task as create_task,
)
from asyncio.core import (
    current_task as current_task,
)
from asyncio.core import (
    get_event_loop as get_event_loop,
)
from asyncio.core import (
    new_event_loop as new_event_loop,
)
from asyncio.core import (
    run as run,
)
from asyncio.core import (
    run_until_complete as run_until_complete,
)
from asyncio.core import (
    sleep as sleep,
)
from asyncio.core import (
    sleep_ms as sleep_ms,
)
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

def wait_for(aw: Awaitable[_T], timeout: float | None) -> Coroutine[Any, Any, _T]: ...
def wait_for_ms(aw: Awaitable[_T], timeout: int | None) -> Coroutine[Any, Any, _T]: ...
def gather(
    *aws: Awaitable[Any], return_exceptions: bool = False
) -> Coroutine[Any, Any, list[Any]]: ...

class Event:
    state: bool
    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    async def wait(self) -> bool: ...

class ThreadSafeFlag:
    def set(self) -> None: ...
    def clear(self) -> None: ...
    async def wait(self) -> None: ...

class Lock:
    def locked(self) -> bool: ...
    def release(self) -> None: ...
    async def acquire(self) -> bool: ...
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, exc_type: Any, exc: Any, tb: Any) -> None: ...

class StreamReader:
    s: Any
    def __init__(self, s: Any, e: dict[str, Any] = ...) -> None: ...
    def get_extra_info(self, v: str) -> Any: ...
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...
    async def read(self, n: int = -1) -> bytes: ...
    async def readinto(self, buf: bytearray | memoryview) -> int | None: ...
    async def readexactly(self, n: int) -> bytes: ...
    async def readline(self) -> bytes: ...
    def write(self, buf: bytes | bytearray | memoryview) -> None: ...
    async def drain(self) -> None: ...

StreamWriter = StreamReader

class Server:
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...

async def open_connection(
    host: str, port: int, ssl: Any = None, server_hostname: str | None = None
) -> tuple[StreamReader, StreamWriter]: ...
async def start_server(
    cb: Callable[[StreamReader, StreamWriter], Coroutine[Any, Any, Any]],
    host: str,
    port: int,
    backlog: int = 5,
    ssl: Any = None,
) -> Server: ...
