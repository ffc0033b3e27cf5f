"""When a WLAN station connects, and what its status means.

The numbers of `WLAN.status` differ from port to port; so they are taken from the names that the
module `network` has for them. There is no clock in here; times are compared with `diff`.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_STALE_MS = const(1500)  # so long an ESP32 may tell the error of the attempt before
_ESP = const(1000)  # STAT_CONNECTING is above that there, and what has no name is an error

_FAILURES = (
    ("WRONG_PASSWORD", "the password is wrong"),
    ("NO_AP_FOUND", "there is no such access point"),
    ("NO_AP_FOUND_IN_RSSI_THRESHOLD", "the access point is too weak"),
    ("NO_AP_FOUND_IN_AUTHMODE_THRESHOLD", "the access point is not safe enough"),
    ("NO_AP_FOUND_W_COMPATIBLE_SECURITY", "the access point is of another security"),
    ("BEACON_TIMEOUT", "the access point is gone"),
    ("HANDSHAKE_TIMEOUT", "no handshake; the password may be wrong"),
    ("CONNECT_FAIL", "the access point refuses"),
)
_OTHERS = ("IDLE", "CONNECTING", "GOT_IP")


class Failures:
    """What the numbers of a status mean.

    Args:
        network: the module.
    """

    def __init__(self, network: "Any") -> None:
        self._known = {}
        for name, text in _FAILURES:
            number = getattr(network, "STAT_" + name, None)
            if number is not None:
                self._known.setdefault(number, text)
        self._fine = [getattr(network, "STAT_" + name, None) for name in _OTHERS]
        self._strict = (getattr(network, "STAT_CONNECTING", None) or 0) >= _ESP

    def why(self, number: "Any") -> "str | None":
        """Return what has gone wrong; None: nothing has."""
        if number in self._fine:
            return None
        text = self._known.get(number)
        if text is None and self._strict:
            text = "error %s" % (number,)
        return text


class Attempts:
    """The state of a station: "connecting", "waiting" for the next attempt, or "up".

    Args:
        failures: what the numbers mean.
        backoff: the delays between attempts.
        diff: milliseconds between two times.
        limit_ms: how long an attempt may take.
    """

    def __init__(
        self,
        failures: Failures,
        backoff: "Any",
        diff: "Callable[[int, int], int]",
        limit_ms: int,
    ) -> None:
        self.state = "waiting"
        self.why: "str | None" = None
        self._failures = failures
        self._backoff = backoff
        self._diff = diff
        self._limit_ms = limit_ms
        self._since: "Any" = None  # of the state
        self._delay = 0
        self._old: "Any" = None  # the status before the attempt

    def step(self, now: int, status: "Any", connected: bool, rand: int) -> "str | None":
        """Return what is to be done: "connect", "disconnect", or nothing.

        Args:
            now: the time.
            status: the number that the station tells.
            connected: whether it is, and has an address.
            rand: random bits.
        """
        if connected:
            if self.state != "up":
                self.state, self.why, self._since = "up", None, now
            return None
        why = self._failures.why(status)
        if self.state == "waiting":
            return self._connect(now, status)
        age = self._diff(now, self._since)
        if self.state == "up":
            self._backoff.broke(age)
            why = why or "the connection is lost"
        elif age >= self._limit_ms:
            why = why or "no connection within %d ms" % self._limit_ms
        elif why is None or (status == self._old and age < _STALE_MS):
            return None
        self._delay = self._backoff.next(rand, 0)
        self.state, self.why, self._since = "waiting", why, now
        return "disconnect"

    def _connect(self, now, status):
        if self._since is not None and self._diff(now, self._since) < self._delay:
            return None
        self.state, self._since, self._old = "connecting", now, status
        return "connect"

    def failed(self, now: int, why: str, rand: int) -> None:
        """It could not even begin to connect."""
        self._delay = self._backoff.next(rand, 0)
        self.state, self.why, self._since = "waiting", why, now
