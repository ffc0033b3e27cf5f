"""The manifest of all images: any part can be left out, and what is left can be imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from moat.micro.boards import load
from tools import fetch, image
from tools.common import ROOT

_PARTS = ["config", "hardware", "links", "lossy"]
_ALONE = ["config", "lossy"]  # the others need `config`


def frozen(folder: Path, **parts: bool) -> dict[str, Path]:
    """The modules that an image without some parts has, by their names."""
    options = "".join(f", {name}={value}" for name, value in parts.items())
    manifest = folder / "manifest.py"
    manifest.write_text(f'include("{ROOT}/manifest.py"{options})\n')
    files = image.frozen(manifest, load("rp2"), fetch.source())
    return {file.name.removesuffix(".py").replace("/", "."): file.path for file in files}


def needed(path: Path) -> Iterator[str]:
    """What a module imports of moat.micro when it is loaded itself."""
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Try):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "_TYPING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        todo += ast.iter_child_nodes(node)


def missing(there: dict[str, Path], everything: dict[str, Path]) -> set[tuple[str, str]]:
    """Which modules that are there import one that is not."""
    return {
        (name, need)
        for name, path in there.items()
        for need in needed(path)
        if need in everything and need not in there
    }


@pytest.mark.parametrize("left_out", [*([name] for name in _ALONE), ["hardware", "links"], _PARTS])
def test_a_part_can_be_left_out(tmp_path: Path, left_out: list[str]) -> None:
    everything = frozen(tmp_path)
    without = set(left_out)
    if "config" in without:
        without |= {"hardware", "links"}
    there = frozen(tmp_path, **dict.fromkeys(without, False))
    assert len(there) < len(everything)
    assert missing(there, everything) == set()


def test_a_part_that_is_needed_is_noticed(tmp_path: Path) -> None:
    assert missing(frozen(tmp_path, config=False), frozen(tmp_path))


def test_what_is_in_no_part_is_what_a_host_talks_to(tmp_path: Path) -> None:
    core = frozen(tmp_path, **dict.fromkeys(_PARTS, False))
    assert {"moat.micro.serve", "moat.micro.cmd.stream", "moat.micro.app.sys"} <= core.keys()
    assert not {"moat.micro.launch", "moat.micro.net.net", "moat.micro.app.pin"} & core.keys()
