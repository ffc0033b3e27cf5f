"""What a command may know of the call that it serves, and what a caller may have asked for."""

from moat.micro import rt
from moat.micro.cmd._errors import to_wire
from moat.micro.cmd._wire import TRACE, TRACEBACK
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


def traceback_of(exc: BaseException) -> str:
    """Return the traceback of an error, as text."""
    try:
        from traceback import format_exception
    except ImportError:
        import io
        import sys

        text = io.StringIO()
        getattr(sys, "print_exception")(exc, text)  # noqa: B009 -- MicroPython's
        return text.getvalue()
    return "".join(format_exception(exc))


def current() -> "Current | None":
    """Return the call that the current task serves, or None."""
    served = rt.get_local()
    return None if served is None else Current(served)


class Current:
    """A call that is running here.

    path: where it leads, from our root.
    return_path: the path from our root to that of the caller. It is our link to the peer unless
        the caller has asked for a trace: then all hops.
    link: the CmdMsg on which it has come.
    """

    def __init__(self, served: "Any") -> None:
        self.path = served.path
        self.link = served.cmd
        self.return_path = list(self.link.path)
        if served.options:
            self.return_path += served.options.get(TRACE, ())


async def run_more(served: "Any", command: "Any") -> "tuple[Any, Any]":
    """Run a command with a stream, or with options; returns the result and those of the reply."""
    begin = rt.ticks_us()
    result = await command
    if served.stream is not None:
        await served.stream.drained()
    if served.options is None or TRACE not in served.options:
        return result, None
    return result, {TRACE: [[served.cmd.name, rt.ticks_diff(rt.ticks_us(), begin)]]}


def error_of(served: "Any", exc: Exception) -> "list[Any] | None":
    """End the call with an error; returns the message. None: it has ended, or gets no reply."""
    if not served.cmd.is_running(served):
        return None
    options = None
    if served.options and served.options.get(TRACEBACK):
        options = {TRACEBACK: traceback_of(exc)[-served.cmd.core.peer_limit // 2 :]}
    return served.cmd.core.error(served.ident, to_wire(exc), options)
