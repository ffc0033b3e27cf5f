"""The calls of a link: what a device does not need that only serves. See CmdMsg."""

from moat.micro import rt
from moat.micro.cmd._wire import DEADLINE
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

    from moat.micro.cmd.stream import CallStream


class Calls:
    """Calls of ours on a link; its methods are the link's, too."""

    def __init__(self, cmd: "Any") -> None:
        self._cmd = cmd

    def call(self, path: "Any", *args: "Any", **kw: "Any") -> "Any":
        """Await this: run a command of the peer and return its result; see `request`."""
        return self.request(None, path, args, kw)

    async def request(
        self,
        call: "Any",
        path: "Any",
        args: "tuple[Any, ...]" = (),
        kw: "Any" = None,
        options: "Any" = None,
    ) -> "Any":
        """Run a command of the peer and return its result; `path` as for Dispatch.find.

        Cancelling this cancels the command.

        Args:
            call: a Call, which knows more of it afterwards; or None.
            path: where the command is.
            args: its arguments, those without a name.
            kw: the others.
            options: of call.options.

        Raises:
            NotFoundError, ArgumentError, BusyError, CallNotRunError: it was not run.
            CallDoneError, CallUnknownError: the session was lost, and this is known of it.
            LinkLost: the link has ended for good, it was not run.
            RemoteError: what the command raised, if its type is not known here. Else that.
        """
        if call is None:
            from moat.micro.cmd.call import Call

            call = Call()
        ident = self.start(call, path, args, kw, None, options)
        try:
            await call.done.wait()
        finally:
            self.stop(ident, call)
        return call.result(path)

    def notify(self, path: "Any", *args: "Any", **kw: "Any") -> None:
        """Have the peer run a command, without any reply; the call leaves soon."""
        self.start(None, path, args, kw, None, None)

    def stream(self, path: "Any", *args: "Any", **kw: "Any") -> "CallStream":
        """Run a streaming command of the peer; returns a stream to be used as context."""
        return self.stream_with(None, path, args, kw)

    def stream_with(
        self, options: "Any", path: "Any", args: "tuple[Any, ...]", kw: "Any"
    ) -> "CallStream":
        """The same with call.options."""
        from moat.micro.cmd.stream import CallStream

        return CallStream(self._cmd, path, args, kw, options)

    def start(
        self,
        call: "Any",
        path: "Any",
        args: "tuple[Any, ...]",
        kw: "Any",
        credit: "int | None",
        options: "Any",
    ) -> int:
        """Begin a call; `call.end(data, error, options)` will be called. Returns its id."""
        data = b""
        if args or kw:
            from moat.micro.cmd._span import pack_args

            data = pack_args(args, kw)
        if options and DEADLINE in options:
            options = dict(options)
            options[DEADLINE] = rt.ticks_add(rt.ticks_ms(), options[DEADLINE])
        return self.pass_on(call, path, data, credit, options)

    def pass_on(
        self, call: "Any", path: "Any", data: bytes, credit: "int | None", options: "Any"
    ) -> int:
        """As `start`, with encoded arguments; the deadline is a tick here."""
        cmd = self._cmd
        if cmd.error is not None:
            raise type(cmd.error)(*cmd.error.args)
        ident, msg = cmd.core.call(call, path, data, credit, options)
        cmd.post(msg)
        return ident

    def stop(self, ident: int, call: "Any") -> None:
        """Cancel a call of ours unless it has ended."""
        self._cmd.post(self._cmd.core.cancel(ident, call))
