"""The app that is a link: calls below it go to the device at the other end, which may call back.

Its settings are those of stacks.build_stack, and

    rights      dotted paths that the peer may call, [""] for everything. By default that is
                everything on a line that only this machine or its owner can use, and on one
                with a key; rights.LEAST on all others
    key         what both ends have to prove that they know before anything else is said: a text
                or bytes, at least 16; see docs/security.md
    insecure    True: everything, although the link is a network
    base        dotted path of the node that is the peer's root; by default our root
    name        of this device, for traces; by default that at the top of the config
    max_served  calls of the peer that may run at the same time, by default 16
    role        "server", if there is a key and neither end is a server: at one of them

It connects when it is started, and again whenever the link has broken, unless `reconnect` is
false: then the app fails, and is started anew as others are. A UART of a board is opened once, and
served for good. A peer with another key is tried again, too, after a while.
"""

import moat.micro.errors as errors
from moat.micro import rt
from moat.micro.cmd.keeper import StandIn
from moat.micro.cmd.msg import CmdMsg
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_SHORT = const(256)  # bytes of the longest message, see docs/wire.md
_KINDS = {
    "base": str,
    "insecure": bool,
    "key": (str, bytes),
    "max_served": int,
    "name": str,
    "rights": (list, tuple),
    "role": str,
}
_LOCAL = ("process", "serial", "stdio", "unix")  # who is there could do worse
_TARGETS = ("emu", "process", "serial", "unix")


class Terms:
    """What the peers of a link get: rights, a root, a way back.

    Args:
        settings: of the app.
        network: whether anybody might be the peer.
        role: "client" or "server", by default.

    Raises:
        ConfigError: they make no sense.
    """

    def __init__(self, settings: "dict[str, Any]", network: bool, role: str) -> None:
        own = {}
        self.stack = {}  # what is left for build_stack
        for key, value in settings.items():
            (own if key in _KINDS else self.stack)[key] = value
            if not isinstance(value, _KINDS.get(key, object)):
                what = type(value).__name__ if key == "key" else repr(value)
                raise _wrong("%s: %s is of the wrong kind" % (key, what))
        if self.stack.get("carries", "messages") != "messages":
            raise _wrong("carries: a link carries messages")
        limit = self.stack.get("limit")
        if isinstance(limit, int) and limit < _SHORT:
            raise _wrong("limit: for a link it is %d bytes at least" % _SHORT)
        self._base = own.get("base", "")
        self._key = own.get("key")
        self._server = own.get("role", role) == "server"
        if own.get("role", role) not in (role, "server"):
            raise _wrong("role: %r, but this is a %s" % (own["role"], role))
        default = ("",)
        if network and self._key is None and not own.get("insecure"):
            from moat.micro.cmd.rights import LEAST

            default = LEAST
        self._allow = own.get("rights", default)
        self._name = own.get("name")
        self._max_served = own.get("max_served", 16)
        self.root(None)  # it raises what is wrong
        self._auth()

    def root(self, tree: "Any") -> "Any":
        """Return what a peer has as its root."""
        if "" in self._allow and not self._base:
            return tree
        from moat.micro.cmd.rights import Rights

        try:
            return Rights(tree, self._allow, self._base)
        except (TypeError, ValueError, AttributeError) as exc:
            raise _wrong("rights: these have to be dotted paths: %s" % exc)

    def cmd(self, stack: "Any", keeper: "Any", more: "tuple[Any, ...]") -> CmdMsg:
        """Return the CmdMsg of a peer; `more` items lead to it from the app of `keeper`."""
        tree = keeper.tree
        way = _way(tree, keeper) + list(more)
        kw = {"path": way, "name": self._name or tree.device, "auth": self._auth()}
        return CmdMsg(stack, self.root(tree), None, self._max_served, **kw)

    def _auth(self):
        if self._key is None:
            return None
        from moat.micro.cmd.auth import auth

        return auth(self._key, self._server)


# A device that has been set up can do without what is imported in here.


def _wrong(text):
    from moat.micro.stacks import ConfigError

    return ConfigError(text)


def _way(node, keeper):
    """Return the path that leads from a directory of apps to the one of `keeper`."""
    for name, below in node.kept.items():
        if below is keeper:
            return [name]
        if hasattr(below, "kept"):
            way = _way(below, keeper)
            if way:
                return [name] + way
    return []


def _is_network(link):
    kind = link.get("kind") if isinstance(link, dict) else link
    if kind == "target":
        kind = str(link.get("target")).split(":")[0]
        return kind not in _TARGETS and not kind.startswith("/")
    return kind not in _LOCAL


def _is_uart(link):
    """Whether it is a UART of this board, which never breaks; a port of a machine has a path."""
    return (
        isinstance(link, dict) and link.get("kind") == "serial" and type(link.get("port")) is int
    )


class ClientLink(StandIn):
    """Connects to a device, or a server, and stands for what is there.

    While it is not connected, `rdy_` says so, and waits for that if it is told to; all else
    raises CallNotRunError, with the reason.

    Args:
        settings: see above.
        more: items that lead here from the app whose keeper we have.
        on_open: called with the stream of messages when that is open.
    """

    again_ms = 1000, 60000  # until it connects again after a peer without our key, at first, later

    _cmd: "Any" = None  # while its stack is open
    _error: "BaseException | None" = None

    def __init__(
        self,
        settings: "dict[str, Any]",
        more: "tuple[Any, ...]" = (),
        on_open: "Callable[[Any], object] | None" = None,
    ) -> None:
        self._more = more
        self._on_open = on_open
        self._changed = rt.Event()
        self._terms = Terms(settings, _is_network(settings.get("link")), "client")
        cfg = self._terms.stack
        self._again = cfg.get("reconnect", True)
        uart = _is_uart(cfg.get("link"))
        cfg.setdefault("reconnect", not uart)
        from moat.micro.stacks import build_stack

        self._stack = build_stack(cfg, keep_trying=True, on_state=self._state, persistent=uart)

    def why(self) -> Exception:
        """Return a CallNotRunError."""
        exc = self._reason() or "it is being opened, `rdy_` with `wait` waits for that"
        return errors.CallNotRunError(
            "the link '%s' is not connected: %s" % (self.keeper.name, exc)
        )

    def _reason(self):
        refused = None if self._cmd is None else self._cmd.error
        return refused or self._error

    @property
    def link(self) -> "Any":
        """What returns the CmdMsg, while there is a session; else None."""
        return self._peer if self._cmd is not None and self._cmd.core.open else None

    def _peer(self):
        return self._cmd

    async def cmd_rdy_(self, wait: bool = False) -> "dict[str, Any]":
        """Tell the state of the link; with `wait`, return when it is connected.

        ProtocolError, AuthError: the peer speaks another version, or has another key.
        """
        while wait and self.link is None and self.keeper.state == "ready":
            if self._cmd is not None:
                await self._cmd.ready()
            else:
                self._changed.clear()
                await self._changed.wait()
        if self.link is not None or self.keeper.state != "ready":
            return await self.keeper.ready(wait)
        status = {"state": "starting"}
        if self._reason() is not None:
            status["error"] = str(self._reason())
        return status

    def _state(self, state, exc):
        if state == "up" or exc is not None:
            self._error = exc
        # Above a ReliableMsg nothing is lost: there a call waits for the link.
        if state == "down" and self._cmd is not None and not self._terms.stack.get("reliable"):
            self._cmd.broke()

    async def run(self) -> None:
        """Keep the link. LinkError: it has ended for good."""
        ms, longest = self.again_ms
        while True:
            began = rt.ticks_ms()
            try:
                await self._keep()
            except errors.AuthError as exc:
                if not self._again:
                    raise
                self._error = exc
                from moat.micro.report import report

                report("%s: no link, tried again in %d ms: %s" % (self.keeper.name, ms, exc))
            await rt.sleep_ms(ms)
            ms = min(2 * ms, longest)
            if not 0 <= rt.ticks_diff(rt.ticks_ms(), began) < 2 * longest:
                ms = self.again_ms[0]

    async def _keep(self):
        cmd = self._terms.cmd(self._stack, self.keeper, self._more)
        try:
            async with cmd as self._cmd:
                self._changed.set()
                if self._on_open is not None:
                    self._on_open(cmd.s)
                await cmd.closed()
                await cmd.ready()  # it raises why
        finally:
            self._cmd = None
            self._changed.set()
