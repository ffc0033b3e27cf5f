"""docs/commands.md: its table of `sys` is what the sources say."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.micro.app.sys import SysCmd as HostSysCmd
from moat.micro.collect import collect, module_name
from moat.micro.docs import Entry, Image

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/commands.md").read_text(encoding="utf-8")


def entries(*roots: str) -> dict[str, Entry]:
    """The commands of `sys`, by name; those that every node has are left out."""
    sources = {
        module_name(path.relative_to(ROOT / root).as_posix()): path.read_text(encoding="utf-8")
        for root in roots
        for path in (ROOT / root / "moat").rglob("*.py")
    }
    found = Image(collect(sources)).entries("moat.micro.app.sys:SysCmd")
    return {name: entry for name, entry in sorted(found.items()) if not name.endswith("_")}


def table() -> str:
    """The table as it has to be."""
    lines = ["| name | parameters | what it does |", "|---|---|---|"]
    for name, entry in entries("firmware/portable", "firmware/device").items():
        parameters = f"`{entry.parameters}`" if entry.parameters else ""
        lines.append(
            f"| `{name}`{' ~' if entry.is_stream else ''} | {parameters} | {entry.line} |"
        )
    return "\n".join(lines)


def test_table_of_sys() -> None:
    found = TEXT.partition("<!-- sys -->\n")[2].partition("\n<!-- end -->")[0]
    if found != table():
        pytest.fail(f"the table is out of date; it has to be:\n{table()}", pytrace=False)


def test_what_a_host_has() -> None:
    found = entries("firmware/portable", "host")
    assert set(found) == {"ping", "info", "time", "log"}
    node = HostSysCmd()
    names = {*node.names("cmd_"), *node.names("stream_")}
    assert {name for name in names if not name.endswith("_")} == set(found)
    for name in found:
        assert f"`{name}`" in TEXT.partition("A host can serve")[2].partition("\n\n")[0]
