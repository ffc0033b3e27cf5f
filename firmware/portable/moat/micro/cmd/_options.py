"""The options of calls, and what a message weighs; without I/O. Most calls do without."""

from moat.micro.cmd._checks import MOST
from moat.micro.cmd._wire import AT, DEADLINE, KEEP, TRACE, TRACEBACK
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

LONGEST = 0x0FFFFFFF  # ms of a deadline: the clock of a device wraps

_CALL = {DEADLINE: int, TRACE: list, TRACEBACK: bool, KEEP: int}
_END = {TRACE: list, TRACEBACK: str, AT: list}


def call_options(options: "Any") -> "dict[Any, Any]":
    """Return the options of a call; unknown ones are kept. ValueError: malformed."""
    if options is None:
        return {}
    if not _fits(options, _CALL):
        raise ValueError
    if DEADLINE in options:
        options[DEADLINE] = min(options[DEADLINE], LONGEST)
    return options


def end_options(options: "Any") -> "dict[Any, Any] | None":
    """Return the options of the end of a call; malformed ones are none."""
    return options if options and _fits(options, _END) else None


def _fits(options, known):
    if not isinstance(options, dict):
        return False
    for key, what in known.items():
        if key in options and not isinstance(options[key], what):
            return False
    return True


def weight(x: "Any") -> int:
    """Return the bytes that this takes at most; what is nested too deep weighs too much."""
    try:
        return _weight(x)
    except RuntimeError:
        return MOST


def _weight(x):
    if isinstance(x, str):
        return 5 + (4 * len(x) if len(x) < 100 else len(x.encode()))
    if isinstance(x, bytes):
        return 5 + len(x)
    if isinstance(x, dict):
        return 5 + sum([_weight(k) + _weight(v) for k, v in x.items()])
    if isinstance(x, (list, tuple)):
        return 5 + sum([_weight(v) for v in x])
    return 9


def fitting(err: "list[Any]", options: "Any", room: int) -> "tuple[list[Any], Any]":
    """Return an error and its options, shortened if need be to weigh at most `room`."""
    if options and weight(err) + weight(options) > room:
        options = None
    if weight(err) > room:
        text = str(err[1]) if len(err) > 1 and not isinstance(err[1], (list, dict)) else ""
        err = [err[0][:40], text[: max(0, room // 4 - 50)] + "..."]
    return err, options
