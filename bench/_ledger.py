"""Figures that are committed; CHANGELOG.md has to tell of each change of them, and why."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

__all__ = ("CHANGELOG", "Ledger")

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
_LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"
_HEADING = "### Figures\n"


class Ledger:
    """The figures of `what`, kept in a TOML file: name = number."""

    def __init__(self, what: str, path: Path, changelog: Path = CHANGELOG) -> None:
        self.what = what
        self.path = path
        self.changelog = changelog

    def read(self) -> dict[str, int]:
        """The committed figures; none when there are none yet."""
        if not self.path.exists():
            return {}
        return tomllib.loads(self.path.read_text(encoding="utf-8"))

    def line(self) -> str:
        """What CHANGELOG.md has to say about them, up to the reason."""
        figures = ", ".join(f"{name} {n:,}" for name, n in self.read().items())
        return f"* {self.what}: {figures}: "

    def is_told(self) -> bool:
        """Whether CHANGELOG.md says it, with a reason."""
        lines = self.changelog.read_text(encoding="utf-8").splitlines()
        return any(line.startswith(self.line()) and line != self.line() for line in lines)

    def update(self, figures: Mapping[str, int], reason: str) -> None:
        """Commit to these figures, and tell why."""
        lines = [
            "# SPDX-License-Identifier: Apache-2.0",
            *(f"{k} = {n}" for k, n in figures.items()),
        ]
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = self.changelog.read_text(encoding="utf-8")
        if _HEADING not in text:
            raise ValueError(f"{self.changelog.name} has no line {_HEADING.strip()!r}")
        said = _HEADING + "\n" + self.line() + " ".join(reason.split()) + "\n"
        self.changelog.write_text(text.replace(_HEADING + "\n", said, 1), encoding="utf-8")
