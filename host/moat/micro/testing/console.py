"""What a device prints, for tests."""

from __future__ import annotations

import sys

from moat.micro import rt

__all__ = ["Console"]


class Console:
    """Collects console text; use it as the `console` of `connect`."""

    def __init__(self) -> None:
        self.text = ""
        self._changed = rt.Event()

    def __call__(self, text: str) -> None:
        """Append text; pytest shows it when a test fails."""
        self.text += text
        sys.stdout.write(text)
        self._changed.set()

    async def expect(self, text: str) -> None:
        """Wait until the device has printed `text`."""
        while text not in self.text:
            self._changed.clear()
            await self._changed.wait()
