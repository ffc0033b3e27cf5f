"""A call that is passed on to another link, without a task and without decoding its data."""

from moat.micro import rt
from moat.micro.cmd._wire import AT, DEADLINE, TRACE
from moat.micro.const import const
from moat.micro.errors import MoatError, ProtocolError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


def take_over(served: "Any", msg: "list[Any]", way: "Any") -> None:
    """Pass on a call that has waited as a Served."""
    stream = served.stream
    if stream is not None:
        msg[4] = stream.credit_left()
    pass_on(served.cmd, served.ident, msg, way)
    if stream is not None and stream.is_over():
        served.cmd.core.served[served.ident].over()


def pass_on(cmd: "Any", ident: int, msg: "list[Any]", way: "Any") -> None:
    """Pass a call on; `msg` is that of the peer, `way` what Dispatch.leads_on returns."""
    relay = Relay(cmd, ident, way[0], way[1])
    if len(msg) > 5 and DEADLINE in msg[5]:
        cmd.watch(relay, msg[5][DEADLINE])
    relay.start(msg)


class Relay:
    """Stands for a call of the peer at `cmd`, and for our own one at `link`.

    Args:
        cmd: the link on which the call has come.
        ident: its id there.
        link: the link that it goes to.
        taken: items of the path that led here.
    """

    order = 0
    due: "Any" = None  # tick of the deadline
    _begin: "Any" = None  # tick, of one that is traced
    _out = 0
    _credit = 0  # bytes that the command may send
    _room = 0  # bytes that the caller may send
    _fed = False  # it has said that it does not

    def __init__(self, cmd: "Any", ident: int, link: "Any", taken: int) -> None:
        self._cmd = cmd
        self.ident = ident
        self._link = link
        self._taken = taken
        self.stream = self  # what becomes of it is for others to say

    def start(self, msg: "list[Any]") -> None:
        """Pass the call on; `msg` is that of the peer."""
        options = msg[5] if len(msg) > 5 else None
        if options:
            options = dict(options)
            if self.due is not None:
                options[DEADLINE] = self.due
            if TRACE in options:
                options[TRACE] = list(self._cmd.path) + list(options[TRACE])
                self._begin = rt.ticks_us()
        data = msg[3] if len(msg) > 3 else b""
        credit = msg[4] if len(msg) > 4 else None
        self._credit = credit or 0
        path = msg[2][self._taken :]
        call = self if self.ident > 0 else None
        self._out = self._link.pass_on(call, path, data, credit, options)
        self._cmd.core.served[self.ident] = self  # only now: it may have raised
        if call is None:
            self._cmd.post(self._cmd.core.reply(self.ident, b""))

    # ---- what comes from the caller

    def cancel(self) -> None:
        """Cancel it at the far end; nothing that it says is passed back any more."""
        self._link.stop(self._out, self)
        if self._cmd.is_running(self):
            self._cmd.post(self._cmd.core.error(self.ident, ["CancelledError"]))

    lost = cancel

    def expire(self) -> None:
        """Its deadline has passed."""
        self._link.stop(self._out, self)
        if self._cmd.is_running(self):
            err = ["TimeoutError", "the deadline has passed"]
            self._cmd.post(self._cmd.core.error(self.ident, err, None, False))

    def add(self, n: int) -> None:
        """More of the stream may be sent."""
        self._credit += n
        self._pass(self._link.core.grant, n)

    def put(self, data: "Any", dropped: int) -> None:
        """A value for the command."""
        if self._room <= 0:
            self._fail(ProtocolError("the caller has sent more than it was allowed to"))
            return
        self._room -= len(data) + 1
        self._pass(self._link.core.feed, data, dropped)

    def over(self) -> None:
        """There are no more values."""
        if not self._fed:
            self._fed = True
            self._pass(self._link.core.fed)

    def _pass(self, make, *args):
        if self._link.core.mine(self._out, self):
            try:
                self._link.post(make(self._out, *args))
            except MoatError as exc:
                self._fail(exc)

    # ---- what comes from the command

    def end(self, data: "Any", err: "Any", options: "Any") -> None:
        """It has ended."""
        cmd = self._cmd
        if not cmd.is_running(self):
            return
        if self._begin is not None:
            us = rt.ticks_diff(rt.ticks_us(), self._begin)
            options = _with(options, TRACE, (options or {}).get(TRACE, []) + [[cmd.name, us]])
        if err is not None:
            options = _with(options, AT, [self._taken] + (options or {}).get(AT, []))
            done = err[0] not in ("CallUnknownError", "CallNotRunError")
            cmd.post(cmd.core.error(self.ident, err, options, done))
            return
        try:
            cmd.post(cmd.core.reply(self.ident, data or b"", options))
        except MoatError as exc:
            self._fail(exc)

    def item(self, data: "Any", dropped: int) -> None:
        """A value of the command."""
        if self._cmd.is_running(self):
            if self._credit <= 0:
                self._fail(ProtocolError("the command has sent more than it was allowed to"))
                return
            self._credit -= len(data) + 1
            try:
                self._cmd.post(self._cmd.core.item(self.ident, data, dropped))
            except MoatError as exc:
                self._fail(exc)

    def room(self, n: int) -> None:
        """The command takes more values."""
        if self._cmd.is_running(self):
            self._room += n
            self._cmd.post(self._cmd.core.room(self.ident, n))

    def _fail(self, exc):
        """Something does not fit through here: that ends the call."""
        from moat.micro.cmd._errors import to_wire

        self._link.stop(self._out, self)
        if self._cmd.is_running(self):
            self._cmd.post(self._cmd.core.error(self.ident, to_wire(exc), None, False))


def _with(options, key, value):
    options = dict(options or {})
    options[key] = value
    return options
