"""The runtime that portable code sees, on anyio (asyncio or trio).

The device's rt.py has the same names on MicroPython's asyncio. Both keep these promises; what
differs is said here and there in the same words:

* Cancellation is level-triggered here: every wait raises until the cancelled scope is left. It is
  edge-triggered on the device: it is raised once, where the task waits. So portable code never
  swallows a cancellation, and awaits nothing in a `finally` that it could not do without (on the
  device that wait happens, here it is cut short).
* A task that is cancelled before its first step runs to its first wait here, on the device not
  at all. What it must release is owned by who starts it.
* Calls that need not wait (`Event.wait` on a set event, `Queue.get` with items) return at once,
  without giving way to other tasks and without noticing a cancellation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import anyio

from moat.micro._queue import BaseQueue

__all__ = [
    "IMAGE", "CancelScope", "Event", "ExceptionGroup", "Lock", "Queue", "TaskGroup",
    "TimeoutError", "asynccontextmanager", "get_local", "grace_ms", "is_coroutine",
    "random_bits", "run", "set_local", "sleep_ms", "ticks_add", "ticks_diff", "ticks_ms",
    "ticks_us", "timeout_ms",
]  # fmt: skip

T = TypeVar("T")
IMAGE: str | None = None  # a device has the hash of all that is frozen in its image
# Context manager, used once: `cancel()` ends its body at its next wait, and leaving raises
# nothing for it. `shield=True`: a cancellation from outside waits for the end of the body.
CancelScope = anyio.CancelScope
_local: ContextVar[Any] = ContextVar("local", default=None)
ExceptionGroup = BaseExceptionGroup
TimeoutError = TimeoutError  # an OSError here, not so on the device


class Event:
    """An anyio.Event that can be cleared, as MicroPython's can."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def is_set(self) -> bool:
        """True after `set`, until `clear`."""
        return self._event.is_set()

    def set(self) -> None:
        """Wake all waiters."""
        self._event.set()

    def clear(self) -> None:
        """Let later waiters wait again."""
        if self._event.is_set():
            self._event = anyio.Event()

    async def wait(self) -> bool:
        """Return True when the event is set; also when it was cleared again meanwhile."""
        if not self._event.is_set():
            await self._event.wait()
        return True


def Lock() -> anyio.Lock:
    """A lock, an async context manager; taking a free one does not go through the scheduler."""
    return anyio.Lock(fast_acquire=True)


class Queue(BaseQueue):
    """A bounded queue, see BaseQueue."""

    Event = Event


async def sleep_ms(ms: int) -> None:
    """Sleep for `ms` milliseconds (on the device at most about six days, see `ticks_add`)."""
    await anyio.sleep(ms / 1000)


def ticks_ms() -> int:
    """Milliseconds of a monotonic clock; they wrap on the device: compare with `ticks_diff`."""
    return time.monotonic_ns() // 1_000_000


def ticks_us() -> int:
    """Microseconds of the same kind; on the device they wrap within minutes."""
    return time.monotonic_ns() // 1000


def ticks_diff(a: int, b: int) -> int:
    """Milliseconds from `b` to `a`, or microseconds."""
    return a - b


def ticks_add(a: int, ms: int) -> int:
    """The tick `ms` milliseconds after `a`; OverflowError on the device from 2**29 ms on."""
    return a + ms


class timeout_ms:  # noqa: N801 -- used like a function
    """Async context manager: TimeoutError when its body takes more than `ms` milliseconds.

    The body is cancelled then, at its next wait with 0. One that ends without having waited is
    in time, however long it took. A cancellation from outside wins, whichever came first.
    """

    _shield = False

    def __init__(self, ms: int) -> None:
        self.ms = ms

    async def __aenter__(self) -> None:
        due = anyio.current_time() + self.ms / 1000
        self._scope = anyio.CancelScope(deadline=due, shield=self._shield)
        self._scope.__enter__()

    async def __aexit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        swallow = self._scope.__exit__(et, exc, tb)
        if self._scope.cancelled_caught:
            raise TimeoutError(f"not done within {self.ms} ms") from None
        return swallow


class grace_ms(timeout_ms):  # noqa: N801 -- used like a function
    """Async context manager: its body may take `ms` milliseconds although we are cancelled.

    For the last words in a finally clause. What is not done in time is given up, silently.
    A cancellation that arrives meanwhile takes effect afterwards.
    """

    _shield = True

    async def __aexit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        return self._scope.__exit__(et, exc, tb)


class Task(Protocol):
    """What `TaskGroup.start_soon` returns."""

    def cancel(self) -> None:
        """Cancel the task, once; nothing when it has ended. Its finally clauses run."""


class TaskGroup:
    """Async context manager that waits for the tasks started in it.

    The first error, of a task or of the body, cancels the others. Leaving raises that error, or
    an ExceptionGroup when there were several. A cancellation from outside cancels all
    tasks, is raised when they have ended, and gives way to an error of theirs.
    """

    def __init__(self) -> None:
        self._group = anyio.create_task_group()
        self._entered = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._entered = True
        return self

    async def __aexit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        try:
            return await self._group.__aexit__(et, exc, tb)
        except BaseExceptionGroup as group:
            # trio has cancellations among them: an error tells more
            cancelled = anyio.get_cancelled_exc_class()
            errors = [e for e in group.exceptions if not isinstance(e, cancelled)]
            if not errors:
                raise
        if len(errors) > 1:
            raise ExceptionGroup("several tasks failed", errors)
        if errors[0] is exc:
            return False
        raise errors[0]

    def start_soon(self, fn: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Task:
        """Run ``await fn(*args)`` as a task of the group; returns it, it has a cancel().

        Raises:
            RuntimeError: the group is not entered yet or left already.
            TypeError: `fn` is not an async function, or does not take `args`.
        """
        return self._group.start_soon(fn, *args)

    def cancel(self) -> None:
        """Cancel all tasks, and the body if it still runs; leaving raises nothing for it."""
        if self._entered:
            self._group.cancel_scope.cancel()


def set_local(x: object) -> None:
    """Let `get_local` return `x` in this task, one of a TaskGroup."""
    _local.set(x)


def get_local() -> Any:
    """Return what `set_local` has set in this task, or None; here in those it starts, too."""
    return _local.get()


def is_coroutine(x: object) -> bool:
    """True when `x`, the result of calling an async function, has to be awaited."""
    return hasattr(x, "__await__")


def random_bits() -> int:
    """Return 32 random bits."""
    return int.from_bytes(os.urandom(4), "big")


def run(fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, backend: str = "asyncio") -> T:
    """Run ``await fn(*args)`` in a fresh event loop and return its result."""
    return anyio.run(fn, *args, backend=backend)
