"""An emulated RP2040 board, with its switches, pins and ports.

async with Emulator() as emulator:
    async with connect(emulator.link()) as dev:
        async with emulator.gpio_watch(25) as edges:
            await dev.led.set(True)
            assert (await anext(edges)).level
    await emulator.power(False)
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from subprocess import PIPE, STDOUT
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from moat.micro import rt
from moat.micro.boards import load, root
from moat.micro.errors import MoatError
from moat.micro.net.net import NetLink

__all__ = ["Edge", "Emulator", "EmulatorError"]

_STOP_S = 10
_LINE = 1 << 20
_MAIN = "emulator/main.js"


class EmulatorError(MoatError):
    """The emulator does not start, has ended, or refuses; the message says why."""


@dataclass(frozen=True)
class Edge:
    """A level of a pin that has changed; `nanos` is the board's time since its last reset."""

    pin: int
    level: int
    nanos: float


class Emulator:
    """Starts an emulated board when it is entered, ends it when it is left.

    Args:
        board: whose image is in its flash.
        image: another image, a UF2 file; None: what is in `flash`, else nothing.
        flash: file that the flash is kept in; without one all is gone in the end.
        folder: where its ptys are, `usb`, `uart0` and `uart1`, and the boot loader's `drive`.
        keep_usb: clients of the USB port stay over a reset of the board, as no USB does.
        options: further ones of emulator/main.js, without the dashes: `free=True`, `off=True`,
            `unique_id="…"`, `register="rp2"`.
    """

    process: Process
    info: dict[str, Any]
    """What it has told of itself: `pid`, `unique_id`, `ports`, `ptys`, `drive`."""

    def __init__(
        self,
        board: str = "rp2",
        *,
        image: str | Path | None = "",
        flash: str | Path | None = None,
        folder: str | Path | None = None,
        keep_usb: bool = False,
        **options: str | bool,
    ) -> None:
        self.board = load(board)
        self._image = self.board.image_path if image == "" else image
        options["keep_usb"] = keep_usb
        if flash is not None:
            options["flash"] = str(flash)
        if folder is not None:
            options["pty"] = str(folder)
            options["drive"] = str(Path(folder, "drive"))
        self._options = options

    # --- start and end

    async def __aenter__(self) -> Self:
        self._calls = dict[int, _Reply]()
        self._ids = count(1)
        self._listeners = set[MemoryObjectSendStream[dict[str, Any]]]()
        self._watched = list[int]()
        self._ended = False
        async with AsyncExitStack() as stack:
            self.process = await stack.enter_async_context(_process(self._argv()))
            assert self.process.stdout is not None
            lines = BufferedByteReceiveStream(self.process.stdout)
            self.info = await _first_line(lines)
            self._control = await anyio.connect_tcp("127.0.0.1", self.info["ports"]["control"])
            await stack.enter_async_context(self._control)
            tasks = await stack.enter_async_context(rt.TaskGroup())
            stack.callback(tasks.cancel)
            tasks.start_soon(_show, lines)
            tasks.start_soon(self._read)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(et, exc, tb)

    def _argv(self) -> list[str]:
        missing = self.board.to_make()
        if missing and not ("build" in missing and self._image != self.board.image_path):
            raise EmulatorError(
                f"the emulated {self.board.name} is not built; run: make {missing}"
            )
        argv = ["node", f"{root()}/{_MAIN}", "--stdin"]
        if self._image is not None:
            argv += ["--uf2", str(self._image)]
        for name, value in self._options.items():
            if value is not False:
                argv.append(f"--{name.replace('_', '-')}")
                argv += [] if value is True else [str(value)]
        return argv

    # --- what there is

    def link(self, port: str = "usb") -> NetLink:
        """The byte stream to a serial port of the board: usb, uart0 or uart1."""
        return NetLink("127.0.0.1", self.info["ports"][port])

    @property
    def ptys(self) -> dict[str, Path]:
        """The pty of each serial port; the one of `usb` is there while the board's USB is."""
        return {name: Path(path) for name, path in self.info.get("ptys", {}).items()}

    @property
    def drive(self) -> Path:
        """The folder that is the boot loader's drive, while the board is in that."""
        return Path(self.info["drive"])

    # --- the control port

    async def request(self, do: str, **args: object) -> Any:
        """Make a request to the control port; emulator/lib/control.js has the list.

        EmulatorError: it is refused, or the emulator has ended.
        """
        if self._ended:
            raise EmulatorError("the emulator has ended")
        number = next(self._ids)
        reply = self._calls[number] = _Reply()
        line = json.dumps({"id": number, "do": do, **args}) + "\n"
        try:
            await self._control.send(line.encode())
            await reply.come.wait()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise EmulatorError("the emulator has ended") from None
        finally:
            del self._calls[number]
        if not reply.message["ok"]:
            raise EmulatorError(reply.message["error"])
        return reply.message["result"]

    async def state(self) -> dict[str, Any]:
        """`state` is off, running, bootloader or halted; `usb` tells whether that is up."""
        return await self.request("state")

    async def until(self, **wanted: object) -> None:
        """Wait for values of `state`: until(usb=True), until(state="bootloader")."""
        async with self.events() as events:
            while True:
                state = await self.state()
                if all(state[key] == value for key, value in wanted.items()):
                    return
                await anext(events)

    async def reset(self) -> None:
        """As by the RUN pin."""
        await self.request("reset")

    async def power(self, on: bool) -> None:
        """Switch its power on or off."""
        await self.request("power", on=on)

    async def bootloader(self) -> None:
        """As by BOOTSEL while the power comes."""
        await self.request("bootloader")

    async def flash(self, file: str | Path) -> int:
        """Have the boot loader write a UF2 file, and start it; returns the number of blocks."""
        return (await self.request("flash", file=_absolute(file)))["blocks"]

    async def gpio_set(self, pin: int, level: int | None) -> None:
        """Connect a pin to a level from outside; None: to nothing."""
        await self.request("gpio-set", pin=pin, level=level)

    async def gpio_get(self, pin: int) -> dict[str, Any]:
        """`level` of a pin, and what makes it; see emulator/lib/pins.js."""
        return await self.request("gpio-get", pin=pin)

    @asynccontextmanager
    async def gpio_watch(self, *pins: int) -> AsyncGenerator[AsyncIterator[Edge]]:
        """The changes of these pins' levels, as they happen."""
        async with self.events() as events:
            await self._watch(add=pins)
            try:
                yield _edges(events, pins)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._watch(remove=pins)

    async def _watch(self, add: tuple[int, ...] = (), remove: tuple[int, ...] = ()) -> None:
        self._watched += add
        for pin in remove:
            self._watched.remove(pin)
        if not self._ended:
            await self.request("gpio-watch", pins=self._watched)

    async def adc_set(self, channel: int, value: int) -> None:
        """Set a 12-bit value: channels 0 to 3 are the pins 26 to 29, 4 is the temperature."""
        await self.request("adc-set", channel=channel, value=value)

    async def hold(self, port: str, held: bool = True) -> None:
        """Read no more of what the board sends, or do again.

        On a UART that is its CTS line, which the board may ignore.
        """
        if port == "usb":
            await self.request("usb-hold", held=held)
        else:
            await self.request("uart-hold", uart=int(port.removeprefix("uart")), held=held)

    async def statistics(self) -> dict[str, Any]:
        """Counters: instructions, time, bytes, erased sectors."""
        return await self.request("statistics")

    @asynccontextmanager
    async def events(self) -> AsyncGenerator[MemoryObjectReceiveStream[dict[str, Any]]]:
        """What happens to the board: see emulator/lib/control.js."""
        send, receive = anyio.create_memory_object_stream[dict[str, Any]](math.inf)
        self._listeners.add(send)
        try:
            with receive:
                yield receive
        finally:
            self._listeners.discard(send)
            send.close()

    async def _read(self) -> None:
        lines = BufferedByteReceiveStream(self._control)
        try:
            while True:
                message = json.loads(await lines.receive_until(b"\n", _LINE))
                self._received(message)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            self._ended = True
            for reply in self._calls.values():
                reply.set({"ok": False, "error": "the emulator has ended"})
            for listener in self._listeners:
                listener.close()

    def _received(self, message: dict[str, Any]) -> None:
        if "event" in message:
            for listener in self._listeners:
                listener.send_nowait(message)
        elif reply := self._calls.get(message["id"]):
            reply.set(message)


def _absolute(file: str | Path) -> str:
    return str(Path(file).absolute())


class _Reply:
    def __init__(self) -> None:
        self.come = anyio.Event()
        self.message: Mapping[str, Any] = {}

    def set(self, message: Mapping[str, Any]) -> None:
        self.message = message
        self.come.set()


async def _edges(
    events: MemoryObjectReceiveStream[dict[str, Any]], pins: tuple[int, ...]
) -> AsyncGenerator[Edge]:
    async for event in events:
        if event["event"] == "gpio" and event["pin"] in pins:
            yield Edge(event["pin"], event["level"], event["nanos"])


@asynccontextmanager
async def _process(argv: list[str]) -> AsyncGenerator[Process]:
    try:
        process = await anyio.open_process(
            argv, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True
        )
    except FileNotFoundError:
        raise EmulatorError(f"{argv[0]} is not installed; run: make emulator") from None
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    await process.stdin.aclose()
    with anyio.move_on_after(_STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


async def _first_line(lines: BufferedByteReceiveStream) -> dict[str, Any]:
    text = ""
    try:
        text = (await lines.receive_until(b"\n", _LINE)).decode()
        return json.loads(text)
    except (anyio.IncompleteRead, anyio.EndOfStream, json.JSONDecodeError):
        why = text.strip() or "it has ended at once"
        raise EmulatorError(f"the emulator does not start: {why}") from None


async def _show(lines: BufferedByteReceiveStream) -> None:
    """What goes wrong in there is to be seen."""
    try:
        while True:
            sys.stderr.write((await lines.receive()).decode(errors="replace"))
    except anyio.EndOfStream:
        pass
