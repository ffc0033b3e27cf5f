"""A call of the peer that is running here."""

from msgpack import packb

import moat.micro.errors as errors
from moat.micro import rt
from moat.micro.cmd._wire import DEADLINE
from moat.micro.const import const
from moat.micro.errors import LinkError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


def begin(cmd: "Any", ident: int, msg: "list[Any]") -> None:
    """Run a call of the peer, or pass it on; raises what ends it at once."""
    credit = msg[4] if len(msg) > 4 else None
    options = msg[5] if len(msg) > 5 else None
    if cmd.root is None:
        raise errors.NotFoundError("there are no commands here")
    way = cmd.root.leads_on(msg[2])
    if way is not None:
        from moat.micro.cmd.relay import pass_on

        pass_on(cmd, ident, msg, way)
        return
    cmd.core.served[ident] = served = Served(cmd, ident, msg[2])
    if options:
        served.options = options
        if DEADLINE in options:
            cmd.watch(served, options[DEADLINE])
    if credit is not None:
        from moat.micro.cmd.stream import ServedStream

        served.stream = ServedStream(cmd, served, credit)
    served.task = cmd.tasks.start_soon(served.run, msg)


class Served:
    """One call; what its command may know of it, here.current() tells."""

    options: "Any" = None
    stream: "Any" = None
    due: "Any" = None  # tick of the deadline
    task: "Any" = None
    _started = False

    def __init__(self, cmd: "Any", ident: int, path: "Any") -> None:
        self.cmd = cmd
        self.ident = ident
        self.path = path

    def cancel(self) -> None:
        """The caller does not want it any more, or the session has ended."""
        if not self._started:  # then it may never run
            self._started = True
            self.end(["CancelledError"])
        self.task.cancel()

    def lost(self) -> None:
        """The session has ended: the command counts in the next ones until it has, too."""
        if self._started:
            core = self.cmd.core
            self.due = None
            self.ident = core.number()
            core.served[self.ident] = self
        self.cancel()

    def expire(self) -> None:
        """Its deadline has passed."""
        self._abort(["TimeoutError", "the deadline has passed"])

    def fail(self, exc: Exception) -> None:
        """The caller has done what it should not."""
        from moat.micro.cmd._errors import to_wire

        self._abort(to_wire(exc))

    def _abort(self, err):
        """End the call now; what the command does in the end still counts as one that runs."""
        if not self._started:
            self._started = True
            self.end(err)
        elif self.cmd.is_running(self):
            self.due = None
            core = self.cmd.core
            ident, self.ident = self.ident, core.detach(self.ident)
            if ident > 0:
                self.cmd.post(core.error(ident, err))
        self.task.cancel()

    def end(self, err: "list[Any]") -> None:
        """End the call with an error unless it has ended."""
        if self.cmd.is_running(self):
            self.cmd.post(self.cmd.core.error(self.ident, err))

    async def run(self, msg: "list[Any]") -> None:
        """Run the command and send what comes out of it."""
        if self._started:
            return  # cancelled before it could begin
        self._started = True
        rt.set_local(self)
        cmd = self.cmd
        reply = options = None
        try:
            try:
                command = cmd.root.find(msg[2], self.stream is not None)
                if isinstance(command, tuple):  # a link that has just been loaded
                    from moat.micro.cmd.relay import take_over

                    take_over(self, msg, command)
                    return
                if self.options is None and self.stream is None:
                    result = await self._command(command, msg)
                else:
                    from moat.micro.cmd.here import run_more

                    result, options = await run_more(self, self._command(command, msg))
                data = b"" if result is None else packb(result)
                if cmd.is_running(self):
                    reply = cmd.core.reply(self.ident, data, options)
            except Exception as exc:  # the root of a task: any error goes to the caller
                from moat.micro.cmd.here import error_of

                reply = error_of(self, exc)
            finally:  # cancelled, by the caller or not
                self.end(["CancelledError", "the command was cancelled"])
            if reply is None:
                return
            # Others reply soon, too: some in one piece, not all, so that their callers go on.
            core = cmd.core
            if cmd.sending or (core.served and len(core.out) < max(3, len(core.served))):
                cmd.post(reply)
            else:
                await cmd.send(reply)
        except MemoryError:  # nobody knows what has been lost
            await cmd.anew()
        except (LinkError, EOFError):
            pass  # the reader sees the same, and ends the session

    def _command(self, command, msg):
        data = msg[3] if len(msg) > 3 else b""
        try:
            if not data and self.stream is None:
                return command()  # the most frequent one; the other way costs 200 bytes
            from moat.micro.cmd._span import unpack_args

            args, kw = unpack_args(data)
            if self.stream is not None:
                args.insert(0, self.stream)
            return command(*args, **kw)
        except TypeError as exc:
            # A coroutine function runs nothing yet, so these are the arguments.
            raise errors.ArgumentError(str(exc))
