"""A device for code without an event loop: scripts, notebooks, an interactive Python.

with connect_sync("emu:unix") as dev:
    print(dev.sys.ping(m=1))
    with stream(dev.demo.count, 10) as values:
        for value in values:
            print(value)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from moat.micro.cmd.path import P
from moat.micro.device import Call, Command, Device, OwnDoc, connect
from moat.micro.errors import LinkLost

__all__ = ["SyncCommand", "SyncDevice", "SyncStream", "connect_sync", "stream", "using"]

T = TypeVar("T")


class _Runner:
    """Runs coroutines in the thread of the event loop."""

    def __init__(self, portal: BlockingPortal, limit: float | None) -> None:
        self._portal = portal
        self._limit = limit

    def run(self, fn: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for the result; a Ctrl-C meanwhile cancels it."""

        async def limited() -> T:
            with anyio.fail_after(self._limit):
                return await fn()

        try:
            future = self._portal.start_task_soon(limited)
        except RuntimeError:  # it does not run any more
            raise LinkLost("the device is disconnected: its `with` block has ended") from None
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def enter(self, context: Any) -> Any:
        """Return `context` for threads."""
        return self._portal.wrap_async_context_manager(context)


class SyncCommand:
    """A path into the tree of a device; attributes and items lead deeper, a call calls."""

    def __init__(self, runner: _Runner, command: Command, more: Mapping[str, Any] = {}) -> None:
        self._runner = runner
        self._command = command
        self._more = more  # arguments of Call.using

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._command, name)
        return found if name.startswith("_") else SyncCommand(self._runner, found)

    def __getitem__(self, item: str | int) -> SyncCommand:
        return SyncCommand(self._runner, self._command[item])

    def __call__(self, *args: Any, **kw: Any) -> Any:
        """Run the command and return its result; for streams see `stream`."""
        return _result(self._runner, self._made(args, kw))

    def _made(self, args: tuple[Any, ...], kw: dict[str, Any]) -> Call:
        call = self._command(*args, **kw)
        return call.using(**self._more) if self._more else call

    @contextmanager
    def _stream(self, *args: Any, **kw: Any) -> Generator[SyncStream]:
        with self._runner.enter(self._made(args, kw)) as values:
            yield SyncStream(self._runner, values)

    def _text(self) -> str:
        return self._command._text()  # pyright: ignore[reportPrivateUsage] -- it is its wrapper

    __doc__ = OwnDoc(__doc__, _text)  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return repr(self._command)


class SyncDevice(SyncCommand):
    """A device that is connected; its attributes are its apps."""

    _command: Device

    def call(self, path: Sequence[Any] | str | P, *args: Any, **kw: Any) -> Any:
        """Run the command at `path`, see Device.call, and return its result."""
        return _result(self._runner, self._command.call(path, *args, **kw))


def _result(runner: _Runner, call: Call) -> Any:
    async def run() -> Any:
        return await call

    return runner.run(run)


class SyncStream:
    """A stream of values that a command sends, takes, or both; iterate to receive."""

    def __init__(self, runner: _Runner, values: Any) -> None:
        self._runner = runner
        self._values = values

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                yield self.recv()
            except EOFError:
                return

    def recv(self) -> Any:
        """Wait for the next value. EOFError: the command has ended."""
        return self._runner.run(self._values.recv)

    def send(self, value: Any) -> None:
        """Send one value to the command; waits while that is slow. LinkLost: it has ended."""
        self._runner.run(lambda: self._values.send(value))

    def finish(self) -> None:
        """Tell the command that no more values follow."""
        self._runner.run(self._values.finish)

    @property
    def result(self) -> Any:
        """What the command returned; None before its end."""
        return self._values.result

    @property
    def dropped(self) -> int:
        """Number of values that the sender has left out so far, see `using`."""
        return self._values.dropped


@contextmanager
def stream(command: SyncCommand, *args: Any, **kw: Any) -> Generator[SyncStream]:
    """Run a streaming command; leaving the context ends it at the far end."""
    with command._stream(*args, **kw) as values:  # pyright: ignore[reportPrivateUsage]
        yield values


def using(command: SyncCommand, **more: Any) -> SyncCommand:
    """Return the command with more asked for: the arguments are those of `device.Call.using`."""
    return SyncCommand(command._runner, command._command, more)  # pyright: ignore[reportPrivateUsage]


@contextmanager
def connect_sync(
    target: Any, *, limit: float | None = None, **options: Any
) -> Generator[SyncDevice]:
    """Connect to a device; leaving the context disconnects.

    The event loop runs in a thread of its own. Commands that the device calls (`root`) and the
    text that it prints (`console`) are handled there.

    Args:
        target: see `device.connect`.
        limit: seconds that each call, or value of a stream, may take; TimeoutError after that,
            on the device, too. None: there is no limit.
        options: those of `device.connect`.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(connect(target, **options)) as dev,
    ):
        yield SyncDevice(_Runner(portal, limit), dev)
