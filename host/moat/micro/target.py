"""Names of devices: which byte stream leads to one."""

from __future__ import annotations

import shlex
from pathlib import Path

from moat.micro.boards import load
from moat.micro.errors import MoatError
from moat.micro.net.process import ProcessLink
from moat.micro.proto.stack import BaseBuf

__all__ = ["TargetError", "link_to"]


class TargetError(MoatError):
    """The name of a device means nothing; the message says what would."""


_FORMS = (
    "use emu:BOARD (starts the board's image), board:BOARD (one that is plugged in, or an "
    "emulator that runs), process:COMMAND, serial:PATH or the path of a "
    "serial port, serial:USB-SERIAL-NUMBER, tcp:HOST:PORT, or unix:PATH (a named socket)"
)


def link_to(target: str, *, cwd: str | None = None) -> BaseBuf:
    """Return the byte stream that `target` names; nothing is opened yet.

    ``emu:BOARD``        the image of this board, in its emulator. ``?flash=FILE`` behind it: what
                         its flash is kept in, where it has one; else all is gone in the end
    ``board:BOARD``      the board of this kind that is plugged in, or whose emulator runs
    ``process:COMMAND``  a program that speaks on stdin and stdout, quoted as in a shell
    ``serial:PORT``      a serial port: its path (a bare path will do), or the USB serial number
                         of the device. ``?NAME=VALUE&…`` behind it: baud (a number); rtscts,
                         xonxoff, reset, dtr, rts (0 or 1), see SerialLink
    ``tcp:HOST:PORT``    a TCP server; an IPv6 address as in ``tcp:[::1]:4321``
    ``unix:PATH``        a named socket
    ``unix``             the same as emu:unix

    Args:
        target: the name.
        cwd: working directory of a process that is started; the files of a unix image.

    Raises:
        TargetError: it has none of these forms.
        BoardError: there is no such board.
        DiscoveryError: none is plugged in, or several are, or it may not be opened.
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
    name, _, query = name.partition("?")
    option, _, flash = query.partition("=")
    if query and (option != "flash" or not flash):
        raise TargetError(f"emu:{name}?{query}: cannot use '{query}'; use flash=FILE")
    board = load(name)
    if missing := board.to_make():
        what = "image" if "build" in missing else "emulator"
        raise TargetError(f"the {what} of {name} is not built; run: make {missing}")
    # An emulator takes no notice of the end of its input.
    exit_s = 1.0 if board.port == "unix" else 0
    argv = board.command("stdio", flash=Path(flash).absolute() if flash else "")
    return ProcessLink(argv, cwd=cwd, exit_s=exit_s)


def _plugged_in(name: str, _cwd: str | None) -> BaseBuf:
    from moat.micro.discovery import check_access, choose, find

    board = load(name)
    one = choose(board, find(board))
    if one.drive:
        raise TargetError(
            f"the board {name} is in its boot loader, at {one.place}; run: make BOARD={name} flash"
        )
    check_access(one)
    return link_to(one.target)


def _process(command: str, cwd: str | None) -> BaseBuf:
    try:
        argv = shlex.split(command)
    except ValueError as exc:
        raise TargetError(f"process:{command}: {exc}") from None
    if not argv:
        raise TargetError("process: what is to be started? Use process:COMMAND")
    return ProcessLink(argv, cwd=cwd)


def _serial(port: str, _cwd: str | None) -> BaseBuf:
    from moat.micro.net.serial import SerialLink

    port, _, query = port.partition("?")
    options = dict[str, int]()
    for item in query.split("&") if query else ():
        name, _, value = item.partition("=")
        is_good = value in ("0", "1") if name != "baud" else value.isdecimal() and int(value) > 0
        if name not in _SERIAL or not is_good:
            raise TargetError(
                f"serial:{port}?{query}: cannot use '{item}'; "
                "use baud=NUMBER, and rtscts, xonxoff, reset, dtr, rts with =0 or =1, between '&'"
            )
        options[name] = int(value)
    baudrate = options.pop("baud", 115200)
    return SerialLink(port, baudrate, **{name: bool(on) for name, on in options.items()})


def _tcp(where: str, _cwd: str | None) -> BaseBuf:
    from moat.micro.net.net import NetLink

    host, _, port = where.rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    if in_brackets:
        host = host[1:-1]
    is_port = port.isdecimal() and 0 < int(port) < 65536
    if not host or not is_port or (":" in host and not in_brackets):
        raise TargetError(
            f"tcp:{where}: use tcp:HOST:PORT with a port from 1 to 65535; "
            "an IPv6 address is put in brackets, as in tcp:[::1]:4321"
        )
    return NetLink(host, int(port))


def _unix(path: str, _cwd: str | None) -> BaseBuf:
    from moat.micro.net.unix import UnixLink

    return UnixLink(path)


_SERIAL = {"baud", "dtr", "reset", "rts", "rtscts", "xonxoff"}

_KINDS = {
    "board": _plugged_in, "emu": _emulated, "process": _process, "serial": _serial, "tcp": _tcp,
    "unix": _unix,
}  # fmt: skip
