"""What a call costs the device, in instructions: on qemu-arm, over a stream in memory.

    python -m bench.instructions                    compare with the committed figures
    python -m bench.instructions --update REASON    commit to these

QEMU counts instructions (-icount), so that a figure is the same each time, whatever else this
machine does: `tests/system/test_instructions.py` fails when one has grown by more than 5 %. The
committed figures are in instructions.toml, and CHANGELOG.md has a line that tells of each change
of them, and why it had to be.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from statistics import mean

import anyio
from rich.console import Console
from rich.table import Table

from bench._figure import Figure, at_most
from bench._ledger import Ledger
from bench._repl import raw_repl
from moat.micro.boards import load

__all__ = ("LEDGER", "instructions", "measure")

_HERE = Path(__file__).parent
_NS_PER_INSTRUCTION = 32  # shift=5
_MORE = 1.05

LEDGER = Ledger("instructions", _HERE / "instructions.toml")


async def measure() -> list[Figure]:
    """The instructions of each call; the bar is that of the committed figure."""
    known = LEDGER.read()
    return [
        Figure(f"instructions.{name}", n, "instructions", at_most(_MORE * known[name]))
        for name, n in (await instructions()).items()
    ]


async def instructions() -> dict[str, int]:
    """The instructions of each call, by its name."""
    code = (_HERE / "device" / "instructions.py").read_text(encoding="utf-8")
    command = [*load("qemu-arm").command("stdio"), "-icount", "shift=5"]
    async with raw_repl("process:" + shlex.join(command)) as repl:
        printed = await repl.run(code)
    lines = [line.split() for line in printed.splitlines()]
    return {
        name: round(mean(map(int, times)) * 1000 / _NS_PER_INSTRUCTION) for name, *times in lines
    }


def main() -> None:
    """Compare, or update."""
    parser = argparse.ArgumentParser(prog="bench.instructions")
    parser.add_argument("--update", metavar="REASON")
    args = parser.parse_args()
    figures = anyio.run(instructions)
    known = LEDGER.read()
    table = Table("call", "committed", "now", "")
    for name, n in figures.items():
        before = known.get(name, n)
        table.add_row(name, f"{before:,}", f"{n:,}", f"{n / before - 1:+.1%}")
    Console().print(table)
    if args.update:
        LEDGER.update(figures, args.update)


if __name__ == "__main__":
    main()
