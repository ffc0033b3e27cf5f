"""Figures that are committed; CHANGELOG.md has to tell of each change of them, and why."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from tools import changelog

__all__ = ("Ledger",)

_LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"


class Ledger:
    """The figures of `what`, kept in a TOML file: name = number."""

    def __init__(self, what: str, path: Path, log: Path = changelog.PATH) -> None:
        self.what = what
        self.path = path
        self.log = log

    def read(self) -> dict[str, int]:
        """The committed figures; none when there are none yet."""
        if not self.path.exists():
            return {}
        return tomllib.loads(self.path.read_text(encoding="utf-8"))

    def line(self) -> str:
        """What CHANGELOG.md has to say about them, up to the reason."""
        figures = ", ".join(f"{name} {n:,}" for name, n in self.read().items())
        return f"* {self.what}: {figures}:"

    def is_told(self) -> bool:
        """Whether CHANGELOG.md says it, with a reason."""
        return changelog.says(self.log.read_text(encoding="utf-8"), self.line())

    def update(self, figures: Mapping[str, int], reason: str) -> None:
        """Commit to these figures, and tell why."""
        lines = "".join(f"{name} = {n}\n" for name, n in figures.items())
        self.path.write_text(_LICENCE + lines, encoding="utf-8")
        changes = self.log.read_text(encoding="utf-8")
        said = f"{self.line()} {' '.join(reason.split())}"
        self.log.write_text(changelog.add(changes, [said]), encoding="utf-8")
