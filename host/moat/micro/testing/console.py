"""What a device prints, for tests."""

from __future__ import annotations

import re
import sys

from moat.micro import rt

__all__ = ["Console"]


class Console:
    r"""Collects console text; use it as the `console` of `connect`.

    A bare machine ends its lines with "\r\n"; here they end with "\n" on all of them.
    """

    def __init__(self) -> None:
        self.text = ""
        self._held = ""  # a "\r" whose "\n" may be the next character
        self._changed = rt.Event()

    def __call__(self, text: str) -> None:
        """Append text; pytest shows it when a test fails."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        text = text[: len(text) - len(self._held)].replace("\r\n", "\n")
        self.text += text
        sys.stdout.write(text)
        self._changed.set()

    async def expect(self, text: str) -> None:
        """Wait until the device has printed `text`."""
        await self.search(re.escape(text))

    async def search(self, pattern: str) -> re.Match[str]:
        """Wait until the device has printed what matches a regular expression."""
        while (match := re.search(pattern, self.text)) is None:
            self._changed.clear()
            await self._changed.wait()
        return match
