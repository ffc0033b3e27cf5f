"""Stand-in for ``micropython.const``, so that portable cores need no runtime module."""


def const(value: int) -> int:
    """Return `value`; MicroPython's compiler folds ``_NAME = const(…)`` by its name."""
    return value
