"""Names of devices: which byte stream leads to one."""

from __future__ import annotations

import shlex

from moat.micro.boards import load
from moat.micro.proto.stack import BaseBuf

__all__ = ["TargetError", "link_to"]


class TargetError(Exception):
    """The name of a device means nothing; the message says what would."""


_FORMS = (
    "use emu:BOARD (starts the board's image), process:COMMAND, serial:PATH or the path "
    "of a serial port"
)


def link_to(target: str) -> BaseBuf:
    """Return the byte stream that `target` names; nothing is opened yet.

    ``emu:BOARD``        the image of this board, in its emulator
    ``process:COMMAND``  a program that speaks on stdin and stdout, quoted as in a shell
    ``serial:PATH``      a serial port; a bare path will do
    ``unix``             the same as emu:unix

    Raises:
        TargetError: it has none of these forms.
        BoardError: there is no such board.
    """
    if target == "unix":
        target = "emu:unix"
    kind, _, rest = target.partition(":")
    if target.startswith("/"):
        kind, rest = "serial", target
    if not rest or kind not in _KINDS:
        raise TargetError(f"'{target}' names no device: {_FORMS}")
    return _KINDS[kind](rest)


def _emulated(name: str) -> BaseBuf:
    board = load(name)
    if not board.image_path.exists():
        raise TargetError(f"the image of {name} is not built; run: make BOARD={name} build")
    return _process(board.command("stdio"))


def _process(command: str | list[str]) -> BaseBuf:
    from moat.micro.net.process import ProcessLink

    return ProcessLink(shlex.split(command) if isinstance(command, str) else command)


def _serial(path: str) -> BaseBuf:
    from moat.micro.net.serial import SerialLink

    return SerialLink(path)


_KINDS = {"emu": _emulated, "process": _process, "serial": _serial}
