"""Settings of an app: taken one by one, checked, with an error that names the key.

    s = Settings(settings, "pin", "freq duty")
    freq = s.number("freq", 1000, 8, 1_000_000)

The constructor raises ValueError where a key is missing or unknown, the methods where a value
makes no sense.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class Settings:
    """A section of the config.

    Args:
        settings: the section; None where there is none.
        needed: keys that have to be there.
        others: keys that may be there.
    """

    def __init__(self, settings: "dict[str, Any] | None", needed: str, others: str = "") -> None:
        self._all = settings = settings or {}
        known = (needed + " " + others).split()
        for key in settings:
            if key not in known:
                allowed = ", ".join(sorted(known))
                raise ValueError("unknown key '%s'; allowed: %s" % (key, allowed))
        for key in needed.split():
            if settings.get(key) is None:
                raise ValueError("the key '%s' is missing" % key)

    def get(self, key: str, default: "Any" = None) -> "Any":
        """Return a value as it is."""
        x = self._all.get(key)
        return default if x is None else x

    def number(self, key: str, default: "Any", low: int, high: int) -> "Any":
        """Return a whole number from `low` to `high`, or the default."""
        x = self.get(key)
        return default if x is None else number(key, x, low, high)

    def flag(self, key: str) -> bool:
        """Return a boolean, by default False."""
        x = self.get(key, False)
        if not isinstance(x, bool):
            raise ValueError("%s: %r is neither true nor false" % (key, x))
        return x

    def text(self, key: str, default: "Any", low: int, high: int) -> "Any":
        """Return a text of `low` to `high` bytes, or the default. Errors do not show it."""
        x = self.get(key)
        if x is None:
            return default
        if not isinstance(x, str) or not low <= len(x.encode()) <= high:
            raise ValueError("%s: this is no text of %d to %d bytes" % (key, low, high))
        return x

    def choice(self, key: str, default: "Any", options: "tuple[Any, ...]") -> "Any":
        """Return one of `options`, or the default."""
        x = self.get(key)
        return default if x is None else choice(key, x, options)

    def pin(self, key: str) -> "Any":
        """Return the number or name of a pin, None if there is none."""
        x = self.get(key)
        if isinstance(x, bool) or not isinstance(x, (int, str, type(None))):
            raise ValueError("%s: %r is neither the number nor the name of a pin" % (key, x))
        return x


def number(what: str, x: "Any", low: int, high: int) -> int:
    """Return `x`. ValueError: it is no whole number from `low` to `high`."""
    if isinstance(x, bool) or not isinstance(x, int) or not low <= x <= high:
        raise ValueError("%s: %r is no number from %d to %d" % (what, x, low, high))
    return x


def choice(what: str, x: "Any", options: "tuple[Any, ...]") -> "Any":
    """Return `x`. ValueError: it is none of `options`."""
    if x not in options:
        known = ", ".join([str(option) for option in options])
        raise ValueError("%s: %r is none of: %s" % (what, x, known))
    return x
