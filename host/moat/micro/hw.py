"""The hardware that apps use: on the host a simulated board, see moat.micro.sim.

The device's hw.py has the same names.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from moat.micro import rt

__all__ = ["Flag", "network", "part"]


class Flag:
    """What one task waits for, and an interrupt handler sets; a wait clears it."""

    def __init__(self) -> None:
        self._event = rt.Event()

    def set(self) -> None:
        """Wake the waiter, now or when there is one."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it is set, then clear it."""
        await self._event.wait()
        self._event.clear()


def part(name: str) -> Any:
    """Return a class or function of `machine`. NotImplementedError: this board has none."""
    from moat.micro.sim import machine

    try:
        return getattr(machine, name)
    except AttributeError:
        raise NotImplementedError(f"this board has no machine.{name}") from None


def network() -> ModuleType:
    """Return the module `network`. NotImplementedError: this board has none."""
    from moat.micro.sim import network

    return network
