"""docs/apps.md: its tables of commands are what the sources say, and its keys what apps take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moat.micro.collect import collect, module_name
from moat.micro.docs import Image

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/apps.md").read_text(encoding="utf-8")
ROOTS = ("firmware/portable", "firmware/sim")
PLACE = re.compile(r"^<!-- commands: (\S+) -->\n(.*?)^<!-- end -->", re.MULTILINE | re.DOTALL)
TABLES = {m[1]: m[2] for m in PLACE.finditer(TEXT)}


def sources() -> dict[str, str]:
    return {
        module_name(path.relative_to(ROOT / root).as_posix()): path.read_text(encoding="utf-8")
        for root in ROOTS
        for path in (ROOT / root / "moat").rglob("*.py")
    }


def table(kind: str) -> str:
    """The table as it has to be."""
    lines = ["| command | parameters | what it does |", "|---|---|---|"]
    for name, entry in sorted(Image(collect(sources())).entries(kind).items()):
        if not name.endswith("_"):
            parameters = f"`{entry.parameters}`" if entry.parameters else ""
            lines.append(
                f"| `{name}`{' ~' if entry.is_stream else ''} | {parameters} | {entry.line} |"
            )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", TABLES)
def test_table_of_commands(kind: str) -> None:
    if TABLES[kind] != table(kind):
        pytest.fail(f"the table is out of date; it has to be:\n{table(kind)}", pytrace=False)


def test_every_app_with_settings_is_there() -> None:
    for name, text in sources().items():
        if "import Settings" in text and name != "moat.micro.app.network":
            for cls in re.findall(r"^class ([A-Z]\w*)", text, re.MULTILINE):
                assert f"`{name}:{cls}`" in TEXT


def test_every_key_is_there() -> None:
    for name, text in sources().items():
        for call in re.findall(r'Settings\(settings, (.*)\)|keys = (".*")', text):
            for key in re.findall(r"[a-z_]\w*", " ".join(re.findall(r'"([^"]*)"', "".join(call)))):
                assert f"`{key}`" in TEXT, f"{name}: {key}"
