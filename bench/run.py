"""Run the benchmarks of this folder.

    python -m bench.run [NAME…]

NAME, or the variable ONLY, is one of the modules here; without it all of them run. Prints a
table, and writes what this run has measured to bench.json in the build folder. Ends with
status 1 when a bar is missed or a benchmark fails.

A benchmark is a module with ``async def measure() -> list[Figure]``; names that begin with an
underscore are what they share.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench._figure import Figure
from moat.micro.boards import BoardError, build_dir
from moat.micro.errors import MoatError

__all__ = ("available", "main", "measure", "report")

_HERE = Path(__file__).resolve().parent
_NOT_ONE = ("run",)
_LIMIT_S = 300  # against a hang only: a device that is out of memory answers no more

# Results by name: a figure, or the text of what went wrong.
Results = dict[str, Figure | str]


def available(folder: Path = _HERE) -> list[str]:
    """The names of all benchmarks."""
    names = sorted(path.stem for path in folder.glob("*.py"))
    return [name for name in names if not name.startswith("_") and name not in _NOT_ONE]


def measure(name: str) -> Results:
    """Run one benchmark. One that fails costs its own figures only."""
    try:
        figures = anyio.run(_measure, importlib.import_module(f"bench.{name}").measure)
    except Exception as exc:
        if not isinstance(exc, (MoatError, BoardError)):  # those say it all in a line
            traceback.print_exc()
        return {name: f"{type(exc).__name__}: {exc}"}
    return {figure.name: figure for figure in figures}


async def _measure(function: Callable[[], Awaitable[list[Figure]]]) -> list[Figure]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_give_up_late, tasks.cancel_scope)
        figures = await function()
        tasks.cancel_scope.cancel()
        return figures
    raise TimeoutError(f"no result within {_LIMIT_S} seconds")


async def _give_up_late(scope: anyio.CancelScope) -> None:
    """End a benchmark that hangs; a deadline would travel with each of its calls."""
    await anyio.sleep(_LIMIT_S)
    scope.cancel()


def as_json(results: Results) -> dict[str, Any]:
    """What bench.json holds."""
    failed = {"value": None, "unit": None, "bar": None, "ok": False}
    return {
        name: {**failed, "error": res} if isinstance(res, str) else res.as_json()
        for name, res in results.items()
    }


def report(results: Results, console: Console) -> bool:
    """Print the table; returns True when nothing failed and all bars are kept."""
    table = Table()
    for title in ("figure", "value", "unit", "bar", "ok"):
        table.add_column(title, justify="right" if title == "value" else "left", overflow="fold")
    for name, res in results.items():
        table.add_row(name, *_row(res))
    console.print(table)
    return all(isinstance(res, Figure) and res.ok for res in results.values())


def _row(res: Figure | str) -> tuple[str, str, str, str]:
    if isinstance(res, str):
        return "", "", escape(res), "[red]failed[/red]"
    ok = "" if res.bar is None else "[green]yes[/green]" if res.ok else "[red]NO[/red]"
    value = f"{res.value:,d}" if isinstance(res.value, int) else f"{res.value:,.2f}"
    return value, res.unit, "" if res.bar is None else str(res.bar), ok


def main(names: Iterable[str]) -> int:
    """Run the benchmarks `names`, or all; returns the exit status."""
    known = available()
    names = list(names) or known
    unknown = [name for name in names if name not in known]
    if unknown:
        print(
            f"error: no benchmark {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr
        )
        return 1
    results: Results = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        results |= measure(name)
    ok = report(results, Console())
    out = build_dir() / "bench.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(as_json(results), indent=2) + "\n", encoding="utf-8")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or os.environ.get("ONLY", "").split()))
