"""Start an image on this terminal.

    python3 -m tools.terminal run BOARD
    python3 -m tools.terminal shell BOARD [--port PORT] [--serial SERIAL]

`run` starts it as a board starts, with the stack; `shell` goes to MicroPython's normal REPL. Of a
kind of board that is flashed, that is a board which is plugged in, or whose emulator runs.
Every key goes to the image, Ctrl-C as well; Ctrl-] leaves. Without a terminal, `run` is just
the image, and `shell` ends when its input has been carried out.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import itertools
import os
import pty
import select
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Generator
from typing import NoReturn

from moat.micro.boards import Board, load
from tools.common import ToolError, main, say

__all__ = ("Console", "shell")

_LEAVE = b"\x1d"  # Ctrl-]
_PROMPT = b">>> "
_NEXT = b"\n>>> "
_BANNER = b"MicroPython v"
_PASTE = b"=== "
_START_S = 20.0
_AGAIN_S = 1.0


class Console:
    """An image running on a pseudo terminal; close() ends it."""

    def __init__(self, board: Board, command: list[str]) -> None:
        self.at_repl = bool(board.run and board.run.shell)
        self.fd, slave = pty.openpty()
        if board.port != "unix":  # Ctrl-C is for the image, not a signal for the emulator
            tty.setraw(slave)
        try:
            self.process = subprocess.Popen(
                command, stdin=slave, stdout=slave, stderr=slave,
                start_new_session=True, preexec_fn=_take_terminal,  # noqa: PLW1509 - no threads
            )  # fmt: skip
        except OSError as err:
            os.close(self.fd)
            raise ToolError(f"cannot start {command[0]}: {err.strerror}") from None
        finally:
            os.close(slave)

    def read(self, timeout_s: float | None = None) -> bytes:
        """What it has written: waits for something; b"" at its end or the time-out."""
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return b""
        try:
            return os.read(self.fd, 4096)
        except OSError:  # EIO: the other end is closed
            return b""

    def write(self, data: bytes) -> None:
        """Type this. A process that has ended ignores it."""
        with contextlib.suppress(OSError):
            os.write(self.fd, data)

    def prompt(self) -> bytes:
        """Interrupt what runs until the REPL shows its prompt; returns the banner and it.

        Raises:
            ToolError: there is no prompt within 20 s.
        """
        seen = b""
        tries = 0
        end = time.monotonic() + _START_S
        while not seen.endswith(_PROMPT):
            if time.monotonic() > end or self.process.poll() is not None:
                raise ToolError(f"the image shows no prompt, but: {seen[-200:]!r}")
            if not self.at_repl:
                self.write(b"\x03")
                tries += 1
            while not seen.endswith(_PROMPT) and (data := self.read(_AGAIN_S)):
                seen += data
        if tries > 1:  # each one that comes late makes another prompt
            self._in_step(end)
        return seen[seen.rfind(_BANNER) :] if _BANNER in seen else _PROMPT

    def _in_step(self, end: float) -> None:
        """Read what is on its way: up to the answer to something that nobody else asks for."""
        for number in itertools.count(1):  # an interrupt may have dropped the line before
            if time.monotonic() > end:
                raise ToolError("the REPL does not answer")
            self.write(f"0+{number}\r".encode())
            seen = b""
            while data := self.read(_AGAIN_S):
                seen += data
                if seen.replace(b"\r", b"").endswith(f"\n{number}".encode() + _NEXT):
                    return

    def until(self, mark: bytes, *, show: bool = False, timeout_s: float | None = None) -> bytes:
        """Read until it writes `mark`, which then is the last; `show` copies what is before it.

        Raises:
            ToolError: it ended, or was silent for too long.
        """
        seen = b""
        shown = 0
        while not seen.endswith(mark):
            if not (data := self.read(timeout_s)):
                raise ToolError(f"no {mark!r} from the image, but: {seen[-200:]!r}")
            seen += data
            if show and len(seen) - len(mark) > shown:
                os.write(1, seen[shown : -len(mark)])
                shown = len(seen) - len(mark)
        return seen

    def restart(self) -> None:
        """From the prompt of a bare-metal port to that of a fresh start without the stack.

        Raises:
            ToolError: there is no such prompt.
        """
        for keys, mark in ((b"\x01", b"\n>"), (b"\x04", b"\n>"), (b"\x02", _PROMPT)):
            self.write(keys)
            self.until(mark, timeout_s=_START_S)

    def command(self, line: str) -> str:
        """Carry out a line at the prompt and return what it printed.

        Raises:
            ToolError: the prompt does not come back.
        """
        self.write(line.encode() + b"\r")
        text = self.until(b"\n" + _PROMPT, timeout_s=_START_S).decode(errors="replace")
        return text.split("\n", 1)[1].rpartition("\n")[0].strip()

    def close(self) -> int:
        """End the image; returns its exit status."""
        self.process.terminate()
        os.close(self.fd)
        try:
            return self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _take_terminal() -> None:
    """In the child: the pseudo terminal becomes its controlling one, so Ctrl-C is a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def shell(board: Board) -> Generator[Console]:
    """The image, about to be at its normal REPL: prompt() waits for that.

    Raises:
        ToolError: it does not start.
    """
    console = Console(board, board.command() + list(board.run.shell if board.run else ()))
    try:
        yield console
    finally:
        console.close()


@contextlib.contextmanager
def _raw_stdin() -> Generator[None]:
    saved = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSANOW)  # keeps what was typed too early
        os.write(2, b"Ctrl-] leaves\r\n")
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


def _bridge(console: Console) -> None:
    """Copy both ways until Ctrl-] or the image's end."""
    while True:
        for fd in select.select([0, console.fd], [], [])[0]:
            data = os.read(0, 1024) if fd == 0 else console.read()
            head, leave, _ = data.partition(_LEAVE) if fd == 0 else (data, b"", b"")
            if fd == 0:
                console.write(head)
            else:
                os.write(1, head)
            if leave or not data:
                return


def _feed(console: Console) -> None:
    """Carry out stdin as one program, by the REPL's paste mode, and show what it prints."""
    console.write(b"\x05")
    for line in sys.stdin.buffer:
        console.until(_PASTE)
        console.write(line.rstrip(b"\r\n") + b"\r")
    console.until(_PASTE)
    console.write(b"\x04")
    console.until(_PROMPT, show=True)


def _plugged_in(board: Board, port: str, serial: str) -> NoReturn:
    """Become a terminal at the port of a board.

    Raises:
        ToolError: there is none, or several, or it may not be opened.
    """
    from moat.micro import discovery  # it needs the virtual environment, `run` does not

    try:
        found = discovery.choose(board, discovery.find(board, port), port=port, serial=serial)
        discovery.check_access(found)
    except discovery.DiscoveryError as exc:
        raise ToolError(str(exc)) from None
    if found.drive:
        raise ToolError(f"{found.place}: the board is in its boot loader")
    say(f"{found.place}: Ctrl-C gives the REPL, Ctrl-] leaves")
    url = found.port.replace("tcp:", "socket://")
    command = [sys.executable, "-m", "serial.tools.miniterm", "--raw", "--quiet"]
    os.execv(sys.executable, [*command, "--exit-char", str(_LEAVE[0]), url, "115200"])


def _main(args: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m tools.terminal")
    parser.add_argument("goal", choices=("run", "shell"))
    parser.add_argument("board")
    parser.add_argument("--port", default="")
    parser.add_argument("--serial", default="")
    asked = parser.parse_args(args)
    board = load(asked.board)
    if asked.goal == "shell" and board.flash != "run":
        _plugged_in(board, asked.port, asked.serial)
    on_terminal = sys.stdin.isatty()
    if asked.goal == "run" and not on_terminal:
        command = board.command()
        os.execvp(command[0], command)
    if asked.goal == "run":
        with contextlib.closing(Console(board, board.command())) as console, _raw_stdin():
            _bridge(console)
        return
    with shell(board) as console:
        if not on_terminal:
            console.prompt()
            _feed(console)
            return
        with _raw_stdin():
            os.write(1, console.prompt())
            _bridge(console)


if __name__ == "__main__":
    main(_main)
