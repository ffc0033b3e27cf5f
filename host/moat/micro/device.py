"""`connect` to a device, and use its commands as objects.

async with connect("emu:unix") as dev:
    print(await dev.sys.ping(m=1))
    async with dev.demo.count(10) as values:
        async for value in values:
            print(value)
"""

from __future__ import annotations

import codecs
import math
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio

from moat.micro import rt
from moat.micro.cmd.auth import auth
from moat.micro.cmd.call import Call as _Call
from moat.micro.cmd.call import options
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.path import P, dotted
from moat.micro.cmd.stream import CallStream
from moat.micro.cmd.tree import Dispatch
from moat.micro.docs import Docs
from moat.micro.errors import LinkLost, NoConsoleError
from moat.micro.proto.stack import Base
from moat.micro.stacks import ConfigError, build_stack
from moat.micro.target import link_to

__all__ = ["Call", "Command", "Device", "P", "connect", "learn", "ready", "reset"]

# What a host can afford.
_LIMIT = 1 << 20
_CHUNK = _WINDOW = _CONSOLE = 1 << 16
# A device may be busy with something else in the middle of a message: it erases flash, say.
_GAP_MS = 1000


# So much later than here the device gives up: here it is the scope that ends the call.
_LATER_MS = 2


class Call:
    """A call that has not been made yet: await it, or enter it as a stream.

    The deadline of the scope that it runs in (anyio.fail_after, move_on_after) travels along:
    the device gives up by itself then.
    """

    def __init__(
        self, cmd: CmdMsg, path: list[Any] | str, args: tuple[Any, ...], kw: dict[str, Any]
    ):
        self._cmd = cmd
        self._path = path
        self._args = args
        self._kw = kw
        self._more: dict[str, Any] = {}
        self._call = _Call()
        self._stream: CallStream | None = None

    def using(self, *, trace: bool = False, traceback: bool = False, keep: int = 0) -> Self:
        """Ask for more; returns this call.

        Args:
            trace: see `trace`; the command sees the whole way back.
            traceback: an error has the traceback of the far side as `remote_traceback`.
            keep: of a stream that is read slowly: this many values wait on the device, and older
                ones are dropped. 1: the latest one only. 0: nothing is dropped, the device waits.
        """
        self._more = {"trace": trace, "traceback": traceback, "keep": keep}
        return self

    @property
    def trace(self) -> list[tuple[str, int]]:
        """The hops of a call that has ended and that asked for it, the nearest one first.

        Each is the name of a device, and the microseconds between its passing the call on and
        having the reply; of the last one, those that the command took.
        """
        return self._call.trace

    def _options(self) -> dict[int, Any] | None:
        deadline = anyio.current_effective_deadline()
        if deadline == math.inf:
            return options(**self._more) if self._more else None
        left = deadline - anyio.current_time()
        return options(int(max(0, left) * 1000) + _LATER_MS, **self._more)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._run().__await__()

    async def _run(self) -> Any:
        self._call = _Call()
        try:
            return await self._cmd.request(
                self._call, self._path, self._args, self._kw, self._options()
            )
        except TimeoutError as exc:
            if exc.args == ("the deadline has passed",):
                # The device's clock is fast: our own scope is about to end this.
                await anyio.sleep_until(anyio.current_effective_deadline())
            raise

    def send(self) -> None:
        """Have it run without any reply, and without waiting."""
        self._cmd.notify(self._path, *self._args, **self._kw)

    async def __aenter__(self) -> CallStream:
        stream = self._cmd.stream_with(self._options(), self._path, self._args, self._kw)
        self._stream = stream
        return await stream.__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        assert self._stream is not None
        await self._stream.__aexit__(*exc)


class OwnDoc:
    """The `__doc__` of a class whose objects have one each."""

    def __init__(self, of_class: str | None, of_object: Callable[[Any], str]) -> None:
        self._of_class = of_class
        self._of_object = of_object

    def __get__(self, obj: object, cls: type) -> str | None:
        return self._of_class if obj is None else self._of_object(obj)


class Command:
    """A path into the tree of a device; attributes and items lead deeper, a call calls."""

    def __init__(self, cmd: CmdMsg, path: tuple[Any, ...], docs: Docs) -> None:
        self._cmd = cmd
        self._path = path
        self._docs = docs

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__" and (entry := self._docs.find(self._path)):
            return entry.signature
        if name.startswith("_"):
            raise AttributeError(name)
        child = self.__dict__[name] = Command(self._cmd, (*self._path, name), self._docs)
        return child

    def __getitem__(self, item: str | int) -> Command:
        return Command(self._cmd, (*self._path, item), self._docs)

    def __call__(self, *args: Any, **kw: Any) -> Call:
        """Prepare a call: await it, or enter it as a stream."""
        return Call(self._cmd, list(self._path), args, kw)

    async def _learn(self) -> None:
        await self._docs.learn(self._path)

    def _text(self) -> str:
        return self._docs.text(self._path)

    __doc__ = OwnDoc(__doc__, _text)  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        entry = self._docs.find(self._path)
        return f"<command {dotted(self._path)}{entry.signature if entry else ''}>"


class Device(Command):
    """A device that is connected; its attributes are its apps."""

    def __init__(self, cmd: CmdMsg) -> None:
        super().__init__(cmd, (), Docs(cmd.call))

    def __repr__(self) -> str:
        return "<device>"

    def call(self, path: Sequence[Any] | str | P, *args: Any, **kw: Any) -> Call:
        """Call, or stream from, the command at `path`.

        `path` is a list of items, a dotted path such as P("sys.ping"), or a string whose letters
        lead from level to level, see Dispatch.find.
        """
        items = path.items if isinstance(path, P) else path
        return Call(self._cmd, items if isinstance(items, str) else list(items), args, kw)


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@asynccontextmanager
async def connect(
    target: str | Base,
    *,
    stack: Mapping[str, Any] | None = None,
    console: Callable[[str], object] = _to_stderr,
    root: Dispatch | None = None,
    timeout: float = 10,
    docs: bool = True,
    key: str | bytes | None = None,
) -> AsyncGenerator[Device]:
    """Connect to a device; leaving the context disconnects, or ends what it has started.

    Args:
        target: the name of the device, see `target.link_to`, or a byte stream that leads to it,
            or a stream of messages, with all the layers that the device has.
        stack: the layers on the byte stream, a config of `stacks.build_stack`; by default
            MessagePack. The device has to have the same.
        console: is called with the text that the device prints; by default it goes to stderr.
        root: commands that the device may call.
        timeout: seconds until the stack on the device has to answer.
        docs: ask the device what its apps are, for `help` and `inspect.signature`. That is one
            call more; `learn` does it later, and for deeper levels.
        key: what both ends have to prove that they know; see docs/security.md.

    Raises:
        TargetError: there is no such target.
        ConfigError: the config of the stack, or the key, makes no sense.
        AuthError: the device has another key or none, or we have none and it has.
        LinkLost: the device cannot be reached, or does not answer in time.
        ProtocolError: it speaks another version of the protocol.
    """
    msg = _messages(target, stack)
    async with (
        CmdMsg(msg, root, window=_WINDOW, auth=None if key is None else auth(key)) as cmd,
        rt.TaskGroup() as tasks,
    ):
        tasks.start_soon(_read_console, msg, console)
        try:
            async with rt.timeout_ms(int(timeout * 1000)):
                await cmd.ready()
        except TimeoutError:
            same = ", with the same layers" if stack else ""
            same += ", with the same key" if key is not None else ""
            who = target if isinstance(target, str) else "the device"
            raise LinkLost(
                f"{who} has not answered in {timeout:g} seconds: does the stack run there{same}?"
            ) from None
        dev = Device(cmd)
        if docs:
            await learn(dev)
        yield dev
        tasks.cancel()


async def learn(dev: Command) -> None:
    """Ask for the types of a node and its sub-levels: `help` then knows what is there.

    Nothing happens when the device does not tell. LinkLost, LinkReset: the link has ended.
    """
    await dev._learn()  # pyright: ignore[reportPrivateUsage] -- its names are the device's


async def ready(dev: Device) -> None:
    """Wait until the device can be called: there is a session, a new one after a reset.

    ProtocolError: it speaks another version. LinkLost: the link has ended for good.
    """
    await dev._cmd.ready()  # pyright: ignore[reportPrivateUsage] -- as above


async def reset(dev: Device) -> None:
    """Reset the interpreter of the device; returns when that can be called again.

    `ready` does not do for this: the old session goes on for some milliseconds after the reply.
    Other calls that are under way end with a LostCallError. Raises what `ready` raises.
    """
    cmd = dev._cmd  # pyright: ignore[reportPrivateUsage] -- as above
    before = cmd.core.peer
    await dev.call(["sys", "reset"])
    changed = cmd._changed  # pyright: ignore[reportPrivateUsage] -- of the session
    while cmd.core.peer == before:
        changed.clear()
        await changed.wait()
    await cmd.ready()


def _messages(target: str | Base, stack: Mapping[str, Any] | None) -> Any:
    link = link_to(target) if isinstance(target, str) else target
    if hasattr(link, "recv"):
        if stack is not None:
            raise ConfigError("stack: this is a stream of messages already")
        return link
    return build_stack(
        dict(stack or {}), link, limit=_LIMIT, gap_ms=_GAP_MS, chunk=_CHUNK, console=_CONSOLE
    )


async def _read_console(msg: Any, console: Callable[[str], object]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    buf = memoryview(bytearray(4096))

    async def deliver() -> None:
        try:
            while True:
                n = await msg.crd(buf)
                console(decoder.decode(buf[:n]))
        except (EOFError, NoConsoleError):
            return  # the link has ended, as the reader of messages tells; or there is no text

    try:
        await deliver()
    finally:
        async with rt.grace_ms(0):  # what came together with the last reply
            await deliver()
