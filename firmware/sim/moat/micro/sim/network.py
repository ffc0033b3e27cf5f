"""`network` for a simulated board: WLAN and Ethernet, as on an RP2040 or as on an ESP32.

What is in the air, and whether a cable is plugged in, is set from outside: `air`, `cable`. The two
ports differ in the numbers of `status`, in what a station does by itself, and when it refuses;
`use` chooses. There is no clock: a station is connected when it was asked for its state thrice.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_NAMES = const("IDLE CONNECTING GOT_IP NO_AP_FOUND WRONG_PASSWORD CONNECT_FAIL")
_NUMBERS = {
    "rp2": (0, 1, 3, -2, -3, -1),
    "esp32": (1000, 1001, 1010, 201, 202, 203),
}
_BEACON_TIMEOUT = const(200)  # of the ESP32: the access point is gone
_NOTHING = ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
_LEASE = ("192.168.4.16", "255.255.255.0", "192.168.4.1", "192.168.4.1")

STAT_IDLE = STAT_CONNECTING = STAT_GOT_IP = 0
STAT_NO_AP_FOUND = STAT_WRONG_PASSWORD = STAT_CONNECT_FAIL = 0

port = ""
air: "dict[str, dict[str, Any]]" = {}  # name -> password, channel, rssi
cable = {"plugged": True}
settings: "dict[str, Any]" = {}  # country, hostname


def use(name: str) -> None:
    """Be `network` of another port, "rp2" or "esp32", after a reset."""
    global port
    port = name
    for i, key in enumerate(_NAMES.split()):
        globals()["STAT_" + key] = _NUMBERS[name][i]
    globals().pop("STAT_BEACON_TIMEOUT", None)
    if name == "esp32":
        globals()["STAT_BEACON_TIMEOUT"] = _BEACON_TIMEOUT
    reset()


def reset() -> None:
    """Forget all."""
    for each in (air, settings):
        each.clear()
    cable["plugged"] = True
    WLAN.nics = _Station(), _Access()
    LAN.nic = _Wired()


def country(code: "str | None" = None) -> "str | None":
    """Return the country, or set it."""
    return _setting("country", code)


def hostname(name: "str | None" = None) -> "str | None":
    """Return the name of this device, or set it."""
    return _setting("hostname", name)


def _setting(key, value):
    if value is None:
        return settings.get(key)
    settings[key] = value
    return None


class _Nic:
    def __init__(self) -> None:
        self._active = False
        self._static: "Any" = None
        self.options: "dict[str, Any]" = {}

    def active(self, on: "bool | None" = None) -> bool:
        """Return whether it is switched on, or switch it."""
        if on is not None:
            self._active = bool(on)
        return self._active

    def ifconfig(self, four: "Any" = None) -> "Any":
        """Return address, mask, gateway, name server, or set them."""
        if four is not None:
            self._static = None if four == "dhcp" else tuple(four)
            return None
        if not self.isconnected():
            return _NOTHING
        return self._static or _LEASE

    def config(self, *names: str, **options: "Any") -> "Any":
        """Return an option, or set some."""
        if names:
            if names[0] not in self.options:
                raise ValueError("unknown config param")
            return self.options[names[0]]
        self.options.update(options)
        return None

    def isconnected(self) -> bool:
        """Whether there is a connection."""
        return False


class _Station(_Nic):
    def __init__(self):
        super().__init__()
        self._wanted: "Any" = None  # name and key
        self._asked = 0  # how often, since `connect`
        self._status = "IDLE"

    def active(self, on: "bool | None" = None) -> bool:
        """See _Nic."""
        if on is False:
            self._wanted = None
        return _Nic.active(self, on)

    def config(self, *names: str, **options: "Any") -> "Any":
        """See _Nic; the RP2040 does not connect again by itself."""
        if port == "rp2":
            if "reconnects" in options:
                raise ValueError("unknown config param")
            self.options["reconnects"] = 0
        return _Nic.config(self, *names, **options)

    def connect(self, ssid: str, key: "str | None" = None, **kw: "Any") -> None:
        """Begin to connect. OSError: an ESP32 does so already."""
        if not self._active:
            raise OSError("Wifi Not Started" if port == "esp32" else 5)
        if port == "esp32" and self._now() == "CONNECTING":
            raise OSError("Wifi Internal State Error")
        self._wanted = ssid, key or ""
        self._asked = 0
        if port == "rp2":  # the ESP32 tells the old error until there is a new one
            self._status = "CONNECTING"

    def disconnect(self) -> None:
        """End the connection, or the attempt."""
        if port == "rp2" or self._status == "GOT_IP":
            self._status = "IDLE"
        self._wanted = None

    def _now(self):
        if self._wanted is None:
            return self._status
        self._asked += 1
        name, key = self._wanted
        point = air.get(name)
        if self._status == "GOT_IP":
            if point is None:
                self._status = "IDLE" if port == "rp2" else "BEACON"
                self._wanted = None
        elif self._asked > 2:
            if point is None:
                self._status = "NO_AP_FOUND"
            elif point["password"] != key:
                self._status = "WRONG_PASSWORD"
            else:
                self._status = "GOT_IP"
            if self._status != "GOT_IP" and self.options.get("reconnects", -1) == 0:
                self._wanted = None
        elif self._status == "IDLE":
            return "CONNECTING"
        return self._status

    def status(self, what: "str | None" = None) -> int:
        """Return STAT_…, or the strength of the signal for "rssi"."""
        now = self._now()
        if what == "rssi":
            return air[self._wanted[0]]["rssi"] if now == "GOT_IP" else 0
        return _BEACON_TIMEOUT if now == "BEACON" else globals()["STAT_" + now]

    def isconnected(self) -> bool:
        """Whether there is a connection, and an address."""
        return self._now() == "GOT_IP"

    def scan(self) -> "list[tuple[Any, ...]]":
        """Return (ssid, bssid, channel, rssi, security, hidden) of each access point."""
        if not self._active:
            raise OSError("STA must be active")
        found = []
        for name, point in air.items():
            mac = bytes([2, 0, 0, 0, 0, len(found)])
            safe = 3 if point["password"] else 0
            found.append((name.encode(), mac, point["channel"], point["rssi"], safe, False))
        return found


class _Access(_Nic):
    def status(self, what: str) -> "list[Any]":
        """Return the stations that are connected, for "stations"."""
        return list(self.options.get("clients", ()))

    def isconnected(self) -> bool:
        """Whether it is switched on."""
        return self._active


class _Wired(_Nic):
    def isconnected(self) -> bool:
        """Whether there is a cable with something at its other end."""
        return self._active and cable["plugged"]

    def status(self) -> int:
        """Return STAT_GOT_IP or STAT_CONNECTING."""
        return STAT_GOT_IP if self.isconnected() else STAT_CONNECTING


class _Wlan:
    """See network.WLAN: there is one station, and one access point."""

    IF_STA, IF_AP = 0, 1
    SEC_OPEN, SEC_WPA_WPA2 = 0, 0x00400006
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 16, 10555714, 17

    def __init__(self) -> None:
        self.nics = _Station(), _Access()

    def __call__(self, which: int = 0) -> "Any":
        return self.nics[which]


class _Lan:
    """See network.LAN."""

    PHY_LAN8720 = 1

    def __init__(self) -> None:
        self.nic = _Wired()

    def __call__(self, *args: "Any", **options: "Any") -> "Any":
        self.nic.options.update(options)
        return self.nic


WLAN, LAN = _Wlan(), _Lan()
use("rp2")
