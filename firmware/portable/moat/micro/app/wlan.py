"""WLAN: a station that connects and stays connected, or an access point.

Settings of `WlanCmd`, beside those of app.network:

    ssid        name of the network
    password    8 to 63 bytes; none: the network is open
    country     two letters: which channels are allowed
    connect_ms  how long an attempt may take, 15,000 by default
    retry       the delays between attempts, {base_ms, factor, max_ms, jitter}: by default 1000, 2,
                60000, 50; there are attempts for ever
    power_save  false: the radio does not sleep, replies come sooner

and of `AccessPoint`: ssid, password, country, and

    open        true: without a password everybody is let in
    channel     1 to 13
"""

from moat.micro import rt
from moat.micro.app._attempts import Attempts, Failures
from moat.micro.app._settings import Settings
from moat.micro.app.network import COMMON, NetCmd
from moat.micro.const import const
from moat.micro.proto._reconnect import Backoff

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_POLL_MS = const(200)
_UP_MS = const(1000)
_RETRY = ("base_ms", "factor", "max_ms", "jitter")


class _Wlan(NetCmd):
    """What a station and an access point have in common."""

    def __init__(self, s: Settings) -> None:
        super().__init__(s)
        self._ssid = s.text("ssid", None, 1, 32)
        self._password = s.text("password", None, 8, 63)
        self._country = s.text("country", None, 2, 2)

    def _make(self, which):
        if self._country is not None:
            self._network.country(self._country)
        cls = self._network.WLAN
        return cls(getattr(cls, which))


class WlanCmd(_Wlan):
    """A station."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "ssid", "password country connect_ms retry power_save" + COMMON)
        super().__init__(s)
        self._limit_ms = s.number("connect_ms", 15_000, 100, 600_000)
        self._backoff = _backoff(s.get("retry", {}))
        self._saves = s.flag("power_save") if s.get("power_save") is not None else None
        self._attempts: "Any" = None

    def _open(self):
        nic = self._make("IF_STA")
        nic.active(True)
        cls = self._network.WLAN
        if self._saves is not None:
            nic.config(pm=cls.PM_PERFORMANCE if self._saves else cls.PM_NONE)
        try:
            nic.config(reconnects=0)  # on the ESP32; it is us who try again
        except ValueError:
            pass  # others do not try by themselves
        failures = Failures(self._network)
        self._backoff.reset()
        self._attempts = Attempts(failures, self._backoff, rt.ticks_diff, self._limit_ms)
        return nic

    def _close(self, nic):
        nic.disconnect()
        nic.active(False)

    def _step(self, now):
        attempts, nic = self._attempts, self._nic
        what = attempts.step(now, nic.status(), nic.isconnected(), rt.random_bits())
        try:
            if what == "connect":
                nic.connect(self._ssid, self._password)
            elif what == "disconnect":
                nic.disconnect()
        except OSError as exc:
            attempts.failed(now, "OSError: %s" % exc, rt.random_bits())
        return attempts.state, attempts.why, _UP_MS if attempts.state == "up" else _POLL_MS

    def _facts(self):
        facts = {"ssid": self._ssid}
        if self.state == "up":
            facts["rssi"] = self._nic.status("rssi")
        return facts

    async def cmd_scan(self) -> "list[list[Any]]":
        """Return [name, channel, strength in dBm, security] of each access point that is heard.

        The board does nothing else meanwhile, a second or two. The numbers of the security are
        the port's; 0 is an open network.
        """
        if self._nic is None:
            raise self.keeper.why()
        return [[_name(x[0]), x[2], x[3], x[4]] for x in self._nic.scan()]


class AccessPoint(_Wlan):
    """An access point."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        s = Settings(settings, "ssid", "password country open channel" + COMMON)
        super().__init__(s)
        if (self._password is None) != s.flag("open"):
            raise ValueError("an access point needs a `password`, or `open`: true and none")
        self._channel = s.number("channel", None, 1, 13)

    def _open(self):
        nic = self._make("IF_AP")
        cls = self._network.WLAN
        options = {"ssid": self._ssid, "security": cls.SEC_OPEN}
        if self._password is not None:
            options["security"] = getattr(cls, "SEC_WPA_WPA2", None) or cls.SEC_WPA2
            options["key"] = self._password
        if self._channel is not None:
            options["channel"] = self._channel
        nic.config(**options)
        nic.active(True)
        return nic

    def _step(self, now):
        up = self._nic.active()
        return "up" if up else "waiting", None if up else "it is switched off", _UP_MS

    def _facts(self):
        return {"ssid": self._ssid, "clients": len(self._nic.status("stations"))}


def _backoff(options):
    for key in options:
        if key not in _RETRY:
            known = ", ".join(_RETRY)
            raise ValueError("retry: unknown key '%s'; allowed: %s" % (key, known))
    all_options = {"base_ms": 1000, "max_ms": 60_000}
    all_options.update(options)
    try:
        return Backoff(**all_options)
    except (TypeError, ValueError) as exc:
        raise ValueError("retry: %s" % exc)


def _name(x):
    try:
        return x.decode() if isinstance(x, bytes) else x
    except UnicodeError:
        return repr(x)
