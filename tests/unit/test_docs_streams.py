"""docs/streams.md: its table is complete, and all that it names is there."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIDES = {
    "both": ["firmware/portable"],
    "device": ["firmware/device"],
    "host": ["host"],
    "twin": ["firmware/device", "host"],
}
_TEXT = (ROOT / "docs/streams.md").read_text(encoding="utf-8")
_TABLE = _TEXT.split("<!-- streams -->")[1].split("<!-- end -->")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in _TABLE.strip().split("\n")[2:]
]


def names(root: str, module: str) -> set[str]:
    """What a module of one of the roots defines or imports."""
    path = ROOT / root / (module.replace(".", "/") + ".py")
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_class_is_where_the_table_says(row: list[str]) -> None:
    name, module, side, contract, _, proof = row
    for root in SIDES[side]:
        assert name in names(root, module)
    if side != "device":
        cls = getattr(importlib.import_module(module), name)
        verb = {"Buf": "rd", "Blk": "rcv", "Msg": "recv"}.get(contract.split()[0])
        assert verb is None or hasattr(cls, verb)
    assert (ROOT / proof).is_file()


def test_no_class_is_missing() -> None:
    known = {row[0] for row in ROWS}
    for root in ("firmware/portable", "firmware/device", "host"):
        for path in (ROOT / root).rglob("moat/micro/*/*.py"):
            if "testing" in path.parts:
                continue
            for name in re.findall(r"^class ([A-Z]\w*(?:Buf|Blk|Msg))\b", path.read_text(), re.M):
                assert name in known | {"CmdMsg"}, f"{path.name}: {name}"


def _kinds(root: str) -> dict[str, str]:
    """The kinds of links of a side, and their options as the table shows them."""
    links = runpy.run_path(str(ROOT / root / "moat/micro/net/kinds.py"))["LINKS"]
    return {
        kind: f"{needed} [{others}]" if others else needed
        for kind, (_, needed, others) in links.items()
    }


def test_the_kinds_of_links_are_those_of_the_table() -> None:
    host, device = _kinds("host"), _kinds("firmware/device")
    rows = ["| kind | host | device |", "|---|---|---|"]
    for kind in sorted(host | device):
        cells = [f"`{kind}`", host.get(kind, ""), device.get(kind, "")]
        rows.append("| " + " | ".join(cells).replace("  ", " ").strip() + " |")
    found = _TEXT.split("<!-- kinds -->\n")[1].split("\n<!-- end -->")[0]
    assert found.splitlines() == rows
