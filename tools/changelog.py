"""CHANGELOG.md tells of each change of a committed figure, and why it had to be.

A line with the figures themselves stands in the section of figures of the version that is being
made: who changes them without a line is found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tools.common import ROOT

__all__ = ("PATH", "SECTION", "add", "says")

PATH = ROOT / "CHANGELOG.md"
SECTION = "### Figures"


def says(changes: str, start: str) -> bool:
    """Whether a line of the change log begins like this, and goes on."""
    return bool(re.search(rf"^{re.escape(start)} *[^ \n]", changes, re.MULTILINE))


def add(changes: str, lines: Iterable[str]) -> str:
    """The change log with these lines in the section of figures of its first version."""
    start = changes.index("\n## ")
    end = changes.find("\n## ", start + 1)
    version, rest = (changes[:end], changes[end:]) if end >= 0 else (changes, "")
    if SECTION not in version[start:]:
        version = f"{version.rstrip()}\n\n{SECTION}\n"
    at = version.index(SECTION, start)
    following = version.find("\n### ", at)
    head, tail = (version[:following], version[following:]) if following >= 0 else (version, "")
    gap = "" if head.rstrip().startswith("* ", head.rstrip().rfind("\n") + 1) else "\n"
    text = head.rstrip() + "\n" + gap + "".join(f"{text}\n" for text in lines)
    return text + tail + rest
