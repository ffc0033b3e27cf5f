"""Ethernet.

Settings, beside those of app.network:

    kind       "lan" by default: the board's own, network.LAN; "wiznet5k": a chip at an SPI bus
    id, phy_type, phy_addr, mdc, mdio, power, ref_clk   of "lan", where the board needs them;
               phy_type is a name, "LAN8720"; mdc, mdio, power and ref_clk are pins
    spi, cs, reset   of "wiznet5k": number of the bus, and two pins
"""

from moat.micro import hw
from moat.micro.app._settings import Settings
from moat.micro.app.network import COMMON, NetCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_PINS = ("mdc", "mdio", "power", "ref_clk")


class EthernetCmd(NetCmd):
    """A cable."""

    def __init__(self, settings: "dict[str, Any] | None" = None) -> None:
        keys = "kind id phy_type phy_addr mdc mdio power ref_clk spi cs reset"
        s = Settings(settings, "", keys + COMMON)
        super().__init__(s)
        kind = s.choice("kind", "lan", ("lan", "wiznet5k"))
        self._cls = cls = getattr(self._network, kind.upper(), None)
        if cls is None:
            raise NotImplementedError("this board has no network.%s" % kind.upper())
        self._args: "list[Any]" = []
        self._options: "dict[str, Any]" = {}
        (self._lan if kind == "lan" else self._wiznet)(s, cls)

    def _lan(self, s, cls):
        if s.get("id") is not None:
            self._args.append(s.number("id", 0, 0, 9))
        phy = s.text("phy_type", None, 1, 20)
        if phy is not None:
            for place in (cls, self._network):  # some ports have it here, some there
                if hasattr(place, "PHY_" + phy):
                    self._options["phy_type"] = getattr(place, "PHY_" + phy)
            if not self._options:
                raise ValueError("phy_type: this board has no '%s'" % phy)
        if s.get("phy_addr") is not None:
            self._options["phy_addr"] = s.number("phy_addr", 0, 0, 31)
        for key in _PINS:
            if s.pin(key) is not None:
                self._options[key] = hw.part("Pin")(s.pin(key))

    def _wiznet(self, s, cls):
        Pin = hw.part("Pin")  # noqa: N806
        self._args.append(hw.part("SPI")(s.number("spi", 0, 0, 9)))
        for key in ("cs", "reset"):
            if s.pin(key) is None:
                raise ValueError("the key '%s' is missing" % key)
            self._args.append(Pin(s.pin(key)))

    def _open(self):
        nic = self._cls(*self._args, **self._options)
        nic.active(True)
        return nic
