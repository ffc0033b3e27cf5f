"""Names of devices: which byte stream leads to one."""

from __future__ import annotations

import shlex

from moat.micro.boards import load
from moat.micro.errors import MoatError
from moat.micro.net.process import ProcessLink
from moat.micro.proto.stack import BaseBuf

__all__ = ["TargetError", "link_to"]


class TargetError(MoatError):
    """The name of a device means nothing; the message says what would."""


_FORMS = (
    "use emu:BOARD (starts the board's image), process:COMMAND, serial:PATH or the path "
    "of a serial port"
)


def link_to(target: str, *, cwd: str | None = None) -> BaseBuf:
    """Return the byte stream that `target` names; nothing is opened yet.

    ``emu:BOARD``        the image of this board, in its emulator
    ``process:COMMAND``  a program that speaks on stdin and stdout, quoted as in a shell
    ``serial:PATH``      a serial port; a bare path will do
    ``unix``             the same as emu:unix

    Args:
        target: the name.
        cwd: working directory of a process that is started; the files of a unix image.

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
    return _KINDS[kind](rest, cwd)


def _emulated(name: str, cwd: str | None) -> BaseBuf:
    board = load(name)
    if not board.image_path.exists():
        raise TargetError(f"the image of {name} is not built; run: make BOARD={name} build")
    # An emulator takes no notice of the end of its input.
    exit_s = 1.0 if board.port == "unix" else 0
    return ProcessLink(board.command("stdio"), cwd=cwd, exit_s=exit_s)


def _process(command: str, cwd: str | None) -> BaseBuf:
    return ProcessLink(shlex.split(command), cwd=cwd)


def _serial(path: str, _cwd: str | None) -> BaseBuf:
    from moat.micro.net.serial import SerialLink

    return SerialLink(path)


_KINDS = {"emu": _emulated, "process": _process, "serial": _serial}
