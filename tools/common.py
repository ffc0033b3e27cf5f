"""What the tools share: places, one kind of error, locks, processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from moat.micro.boards import BoardError, build_dir

__all__ = ("ROOT", "ToolError", "build_dir", "lock", "main", "run", "say", "shown")

ROOT = Path(__file__).resolve().parent.parent


class ToolError(Exception):
    """One line for the user: what is wrong and what to do."""


def say(text: str) -> None:
    """Report progress; not to stdout, which is for results."""
    print(text, file=sys.stderr, flush=True)


def shown(path: Path) -> str:
    """A path as the user knows it: relative to the project where it is inside."""
    return os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else str(path)


def run(
    command: Sequence[str | Path], *, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and return its exit status and output (both streams as one).

    A command that does not exist gives status 127.
    """
    try:
        return subprocess.run(
            [str(arg) for arg in command], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            check=False,
        )  # fmt: skip
    except FileNotFoundError as err:
        return subprocess.CompletedProcess(list(map(str, command)), 127, str(err), "")


@contextlib.contextmanager
def lock(path: Path) -> Generator[None]:
    """Hold an exclusive lock between processes; the file stays, empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process ({shown(path)})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(function: Callable[[list[str]], None]) -> None:
    """Run a tool: an error of ours is one line and exit status 1."""
    try:
        function(sys.argv[1:])
    except (ToolError, BoardError) as err:
        say(f"error: {err}")
        raise SystemExit(1) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
