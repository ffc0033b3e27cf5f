"""What is collected about the commands agrees with what the devices have."""

from __future__ import annotations

import inspect
import json
import pydoc
from typing import Any

import pytest

from moat.micro.boards import build_dir
from moat.micro.device import Device
from moat.micro.docs import Docs, Entry
from moat.micro.errors import ArgumentError
from tools import image


def built(target: str) -> dict[str, Any]:
    """The description that was made with the image of this target."""
    board = target.removeprefix("emu:")
    return json.loads((build_dir() / board / "commands.json").read_text(encoding="utf-8"))


async def test_the_hash_is_in_the_info(device: Device, target: str) -> None:
    assert (await device.sys.info())["image"] == built(target)["image"]


async def test_every_frozen_command_is_documented_and_there(device: Device) -> None:
    docs = Docs(device.call)
    levels: list[list[Any]] = [[]]
    seen = set[str]()
    for path in levels:
        here = await device.call([*path, "dir_"])
        await docs.learn(path)
        entries = docs.entries(path)
        assert {name for name, entry in entries.items() if not entry.is_stream} == set(here["c"])
        assert {name for name, entry in entries.items() if entry.is_stream} == set(here["s"])
        assert docs.line(path), path
        seen |= set(entries)
        levels += [[*path, name] for name in here["d"]]
    assert {"ping", "put", "log", "reset", "dir_"} <= seen
    assert len(levels) >= 3


async def test_the_parameters_are_those_of_the_device(device: Device) -> None:
    """MicroPython tells how many arguments are missing."""
    docs = Docs(device.call)
    await docs.learn()
    for app in "sys", "run":
        for name, entry in docs.entries([app]).items():
            needed = _needed(entry)
            if needed and not entry.is_stream:
                with pytest.raises(ArgumentError, match=f"takes {needed + 1} positional"):
                    await device.call([app, name])


def _needed(entry: Entry) -> int:
    parameters = entry.signature.parameters.values()
    return sum(p.default is inspect.Parameter.empty for p in parameters)


async def test_help(device: Device) -> None:
    assert str(inspect.signature(device.sys.ping)) == "(m=None)"
    shown = pydoc.plain(pydoc.render_doc(device.sys.log))
    assert "<command sys.log(level='info')>\n    Send the log" in shown


async def test_what_is_frozen_is_fetched(device: Device, target: str) -> None:
    """As from an image that was built with `docs = true`."""
    text = json.dumps(built(target))
    await device.sys.exec(
        "import sys\nclass Docs: pass\nsys.modules['moat.micro._docs'] = Docs\nDocs.PIECES = ()"
    )
    pieces = dict[str, Any]()
    exec(image._module(text), pieces)  # noqa: S102 -- our own
    for piece in pieces["PIECES"]:
        await device.sys.exec(f"Docs.PIECES += ({piece!r},)")
    docs = Docs(device.call)
    await docs._fetch("0", [])
    fetched = docs._images["0"]
    assert fetched
    assert fetched._types == built(target)["types"]
