"""What the tests of the lossy stack do, at full length; run it by hand.

    python -m tests.system.proof [-n CALLS] [-k ORDERS] [NAME…]

    crc32, crc16   calls to qemu-arm, eight at a time, over a line that damages one byte in a
                   hundred, or in a thousand; the seed is fixed
    cuts           calls over one session whose cable is cut every few hundred bytes
    orders         hosts and devices that start first, late, or twice, on every transport

Each call has to be run once, and answered. Ends with status 1 when one was not.

The damage is the same in each run; what it hits is not, as the two ends are not in step. A frame
that has a lower number than one before it was sent again: the line does not change the order.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from moat.micro.device import connect
from moat.micro.proto.stack import StackedMsg
from moat.micro.stacks import build_stack
from moat.micro.testing.faults import FaultBuf, Faults
from tests.system import cable, lossy, orders

_TARGET = "emu:qemu-arm"
_SEED = 1
_LIMIT_S = 1800
_DATA = 6  # elements of a frame of ReliableMsg that has a message; the fifth is its number

Tick = Callable[[], None]
Result = dict[str, str]


class Again(StackedMsg):
    """Counts the frames of ReliableMsg, above it, that were sent again."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.sent = self.received = 0
        self._next_out = self._next_in = 0

    async def send(self, msg: Any) -> None:
        if len(msg) == _DATA:
            self.sent += msg[4] < self._next_out
            self._next_out = max(self._next_out, msg[4] + 1)
        await self.s.send(msg)

    async def recv(self) -> Any:
        msg = await self.s.recv()
        if len(msg) == _DATA:
            self.received += msg[4] < self._next_in
            self._next_in = max(self._next_in, msg[4] + 1)
        return msg


def _counted(times: list[int]) -> Result:
    return {"lost": str(times.count(0)), "doubled": str(sum(n > 1 for n in times))}


async def damaged(crc: int, damage: float, count: int, tick: Tick) -> Result:
    """Make calls over a line that damages bytes."""
    stack: dict[str, Any] = {"framing": {"kind": "serialpacker", "crc": crc}, "reliable": True}
    bad = Faults(flip=damage)
    with TemporaryDirectory() as folder:
        async with lossy.powered(_TARGET, Path(folder), lossy.files(stack)) as link:
            line = FaultBuf(link, seed=_SEED, out=bad, inp=bad)
            msg = build_stack(stack, line)
            msg.parent = again = Again(msg.parent)
            # An answer that is wrong or missing, or a session that ends, raises.
            async with connect(msg, console=_ignore, timeout=20) as dev:
                began = time.monotonic()
                await lossy.take(dev, ticking(count, tick))
                took_s = time.monotonic() - began
                times = await lossy.times_run(dev, count)
    return {
        **_counted(times),
        "seconds": f"{took_s:.1f}",
        "bytes damaged": f"{line.out.counts.flipped} out, {line.inp.counts.flipped} in",
        "sent again": f"{again.sent} by the host; by the device {again.received} that arrived",
    }


def ticking(count: int, tick: Tick) -> Any:
    """The numbers below `count`; tells of each."""
    for n in range(count):
        tick()
        yield n


async def cut(target: str, count: int, tick: Tick) -> Result:
    """Make calls while the cable is cut."""
    cuts = count // 10
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        path = Path(folder)
        numbers = ticking(count, tick)
        times = await cable.calls(target, path, "serialpacker", count, cuts, numbers)
    return {**_counted(times), "seconds": f"{time.monotonic() - began:.1f}", "cuts": str(cuts)}


async def any_order(transport: str, stack: str, count: int, tick: Tick) -> Result:
    """Run so many orders; one whose calls do not work in the end raises."""
    began = time.monotonic()
    for seed in range(count):
        with TemporaryDirectory() as folder:
            await orders.run(transport, stack, seed, Path(folder))
        tick()
    return {"seconds": f"{time.monotonic() - began:.1f}"}


def _ignore(_text: str) -> None:
    pass


Proof = Callable[[int, Tick], Awaitable[Result]]
PROOFS: dict[str, dict[str, Proof]] = {
    "crc32": {"CRC-32, 1 % damaged": partial(damaged, 32, 0.01)},
    "crc16": {"CRC-16, 0.1 % damaged": partial(damaged, 16, 0.001)},
    "cuts": {f"cuts on {where}": partial(cut, where) for where in ("unix", _TARGET)},
    "orders": {
        f"orders, {where}, {stack}": partial(any_order, where, stack)
        for stack in orders.STACKS
        for where in orders.TRANSPORTS
    },
}


def main() -> int:
    """Run what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="tests.system.proof", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("-n", "--calls", type=int, default=2000)
    parser.add_argument("-k", "--orders", type=int, default=20)
    parser.add_argument("names", nargs="*", choices=[[], *PROOFS], metavar="NAME")
    args = parser.parse_args()
    table = Table("proof", "times", "outcome")
    failed = False
    with Progress(console=Console(stderr=True)) as progress:
        for name in args.names or PROOFS:
            count = args.orders if name == "orders" else args.calls
            for title, proof in PROOFS[name].items():
                task = progress.add_task(title, total=count)
                result = run(proof, count, partial(progress.advance, task))
                failed |= "failed" in result or any(
                    result.get(key, "0") != "0" for key in ("lost", "doubled")
                )
                text = ", ".join(f"{key}: {value}" for key, value in result.items())
                table.add_row(title, str(count), text)
    Console().print(table)
    return int(failed)


def run(proof: Proof, count: int, tick: Tick) -> Result:
    """Run one proof; one that fails does not stop the others."""

    async def limited() -> Result:
        with anyio.fail_after(_LIMIT_S):
            return await proof(count, tick)

    try:
        return anyio.run(limited)
    except Exception as exc:
        causes: list[BaseException] = [exc]
        while isinstance(causes[-1], BaseExceptionGroup):
            causes.append(causes[-1].exceptions[0])
        return {"failed": f"{type(causes[-1]).__name__}: {causes[-1]}"}


if __name__ == "__main__":
    raise SystemExit(main())
