"""What the apps for networks have in common; see app.wlan and app.ethernet.

Their settings are, beside their own,

    hostname    name of this device in the network
    static      [address, mask, gateway, name server]; by default DHCP gives them

An app that needs the network says so, `"needs": "wifi"`, and is started when that is up.
"""

from moat.micro import hw, log, rt
from moat.micro.app._settings import Settings
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

COMMON = " hostname static"
_POLL_MS = const(1000)


def static(s: Settings) -> "tuple[str, ...] | None":
    """Return the four addresses of `static`, or None. ValueError: these are none."""
    four = s.get("static")
    if four is None:
        return None
    if not isinstance(four, (list, tuple)) or [_is_address(x) for x in four] != [True] * 4:
        raise ValueError("static: %r is not [address, mask, gateway, name server]" % (four,))
    return tuple(four)


def _is_address(x):
    parts = [p for p in x.split(".") if p.isdigit()] if isinstance(x, str) else []
    return len(parts) == 4 == x.count(".") + 1 and max([int(p) for p in parts]) < 256


class NetCmd(BaseCmd):
    """A network interface; `state` is "down", "connecting", "waiting" or "up"."""

    state = "down"
    why: "str | None" = None  # of the last failure
    _nic: "Any" = None

    def __init__(self, s: Settings) -> None:
        self._network = hw.network()
        self._hostname = s.text("hostname", None, 1, 32)
        self._static = static(s)
        self._changed = rt.Event()

    # ---- to be overridden

    def _open(self):
        """Return the interface, switched on."""
        raise NotImplementedError

    def _close(self, nic):
        """Switch it off."""
        nic.active(False)

    def _step(self, now: int) -> "tuple[str, str | None, int]":
        """Look after it; returns its state, what has failed, and the milliseconds to wait."""
        up = self._nic.isconnected()
        return "up" if up else "waiting", None if up else "there is no link", _POLL_MS

    def _facts(self):
        """Return what `status` tells beside the rest."""
        return {}

    # ---- its life

    @rt.asynccontextmanager
    async def _ctx(self):
        if self._hostname is not None:
            self._network.hostname(self._hostname)
        nic = self._open()
        try:
            if self._static is not None:
                nic.ifconfig(self._static)
            self._nic = nic
            yield self
        finally:
            self._nic = None
            self._close(nic)
            self.state = "down"
            self._changed.set()

    async def run(self) -> None:
        """Keep it up."""
        while True:
            state, why, ms = self._step(rt.ticks_ms())
            if (state, why) != (self.state, self.why):
                self.state, self.why = state, why
                self._changed.set()
                self._tell()
            await rt.sleep_ms(ms)

    def _tell(self):
        if self.state == "up":
            log.info("%s is up: %s", self.keeper.name, self._nic.ifconfig()[0])
        elif self.state == "waiting":
            log.warning("%s: %s", self.keeper.name, self.why)

    async def cmd_rdy_(self, wait: bool = False) -> "dict[str, Any]":
        """Tell the state; with `wait`, return when it is up."""
        while wait and self.state != "up" and self.keeper.state == "ready":
            self._changed.clear()
            await self._changed.wait()
        status = await self.keeper.ready(wait)
        if self.state != "up" and status["state"] == "ready":
            status["state"] = "starting"
            if self.why is not None:
                status["error"] = self.why
        return status

    # ---- its commands

    async def cmd_status(self) -> "dict[str, Any]":
        """Return `state`: connecting, waiting (to try again), up or down; `why` it has failed.

        `ip` has address, mask, gateway and name server while it is up.
        """
        return self._status()

    async def stream_watch(self, st: "Any") -> None:
        """Send what `status` returns, now and whenever the state changes."""
        last = None
        while self._nic is not None:
            status = self._status()
            if (status["state"], status.get("why")) != last:
                last = status["state"], status.get("why")
                await st.send(status)
            else:
                self._changed.clear()
                await self._changed.wait()
        raise self.keeper.why()

    def _status(self):
        nic = self._nic
        if nic is None:
            raise self.keeper.why()
        status: "dict[str, Any]" = {"state": self.state}
        if self.why is not None:
            status["why"] = self.why
        if self.state == "up":
            status["ip"] = list(nic.ifconfig())
        status.update(self._facts())
        return status
