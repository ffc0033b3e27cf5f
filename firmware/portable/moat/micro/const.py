"""Stand-in for ``micropython.const``, so that portable cores need no runtime module."""

_TYPING = 0
if _TYPING:
    from typing import Any


def const(value: "Any") -> "Any":
    """Return `value`; MicroPython's compiler folds ``_NAME = const(…)`` by its name."""
    return value
