"""MicroPython's raw REPL on a port, by mpremote: for boards that do not run our stack (yet)."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Protocol, cast

from moat.micro.errors import MoatError

__all__ = ("Repl", "ReplError", "open_repl", "place", "restart")

_READ_S = 5.0  # the board, or this machine, may be busy
_ENTER_S = 5
_AGAIN_S = 1
_TRIES = 3  # a program that blocks, and what a host has left in the input, may take one each


class ReplError(MoatError):
    """There is no REPL on the port, or it has failed; one line."""


class Repl(Protocol):
    """What we use of mpremote's SerialTransport; its errors are OSError and TransportError."""

    serial: Any

    def exec(self, command: str) -> bytes:
        """Carry out statements; returns what they print."""
        ...

    def eval(self, expression: str) -> Any:
        """Return the value of an expression that is a literal."""
        ...

    def fs_writefile(
        self,
        dest: str,
        data: bytes,
        chunk_size: int = 256,
        progress_callback: Callable[[int, int], None] | None = None,
    ) -> None:
        """Write a file."""
        ...

    def enter_raw_repl(self, soft_reset: bool = True, timeout_overall: float = 10) -> None:
        """Interrupt what runs, and begin anew."""
        ...

    def exit_raw_repl(self) -> None:
        """Leave the raw REPL for the normal one."""
        ...

    def close(self) -> None:
        """Close the port."""
        ...


def place(port: str) -> str:
    """What pyserial calls the port that PORT= names: a path, or a URL.

    Raises:
        ReplError: it is nothing that mpremote can open.
        LinkLost: no device has this USB serial number.
    """
    kind, _, rest = port.partition(":")
    if kind == "tcp":
        return f"socket://{rest}"
    if kind == "serial":
        from moat.micro.net.serial import find_port

        return find_port(rest.partition("?")[0])
    if kind in ("emu", "process", "unix"):
        raise ReplError(f"{port}: use the path of a serial port, or tcp:HOST:PORT")
    return port


@contextlib.contextmanager
def open_repl(port: str) -> Generator[Repl]:
    """The raw REPL on `port`, after a soft reset that has not run main.py.

    Raises:
        ReplError: why there is none, or what has failed inside.
    """
    if importlib.util.find_spec("mpremote") is None:
        raise ReplError("mpremote is missing; type: pip install 'moat-satellite[flash]'")
    from mpremote.transport import (  # pyright: ignore[reportMissingTypeStubs]
        TransportError,
        TransportExecError,
    )

    where = place(port)
    _check(where)
    try:
        repl = _open(where, port)
        try:
            yield repl
        finally:
            _close(repl)
    except TransportExecError as exc:
        lines = str(cast(Any, exc).error_output).strip().splitlines()
        raise ReplError(f"{port}: {lines[-1] if lines else 'failed'}") from exc
    except (TransportError, OSError) as exc:
        raise ReplError(f"{port}: {exc}") from exc


def _check(where: str) -> None:
    path = Path(where)
    if not where.startswith("/"):
        return
    if not path.exists():
        raise ReplError(f"{where}: there is no such port")
    if not os.access(where, os.R_OK | os.W_OK):
        raise ReplError(
            f"{where}: no permission to open it; are you in its group, {_group(path)}?"
        )


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError, NotImplementedError):
        return "which often is dialout"


def _open(where: str, port: str) -> Repl:
    from mpremote.transport import TransportError  # pyright: ignore[reportMissingTypeStubs]
    from mpremote.transport_serial import (  # pyright: ignore[reportMissingTypeStubs]
        SerialTransport,
    )

    why = "cannot be opened: does another program use it?"
    repl: Repl | None = None
    for n in range(_TRIES):
        try:
            if repl is None:
                repl = cast(Repl, SerialTransport(where, timeout=_READ_S))
            why = "no answer to Ctrl-C: is MicroPython on the board, and this its REPL?"
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it did not expect
                repl.enter_raw_repl(timeout_overall=_ENTER_S)
                return repl
        except TransportError:
            if repl is None:
                break
        except OSError as exc:  # a board that was reset just now comes back
            repl, why = _close(repl), str(exc)
            time.sleep(n * _AGAIN_S)
    _close(repl)
    raise ReplError(f"{port}: {why}")


def _close(repl: Repl | None) -> None:
    if repl:
        with contextlib.suppress(OSError):
            repl.close()


def restart(repl: Repl) -> None:
    """Reset the interpreter: boot.py and main.py run."""
    repl.exit_raw_repl()
    repl.serial.write(b"\x04")
    repl.serial.flush()
