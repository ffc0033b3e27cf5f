"""The keys that build_stack knows are those of the classes; it imports what it uses."""

from __future__ import annotations

import inspect
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from moat.micro import stacks
from moat.micro.net.kinds import LINKS
from moat.micro.proto._options import Options
from moat.micro.proto._reconnect import Backoff
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.reconnect import ReconnectBuf
from moat.micro.proto.serialpacker import SerialPackerBlkBuf

ROOT = Path(__file__).parents[2]
DEVICE_LINKS = runpy.run_path(str(ROOT / "firmware/device/moat/micro/net/kinds.py"))["LINKS"]
NOT_OPTIONS = {"self", "parent", "limit"}


def parameters(*functions: Callable[..., Any]) -> set[str]:
    """The names of what these take."""
    return {
        name
        for function in functions
        for name, p in inspect.signature(function).parameters.items()
        if p.kind is not p.VAR_KEYWORD and name not in NOT_OPTIONS
    }


def test_every_option_of_a_layer_is_a_key() -> None:
    assert set(stacks._RELIABLE.split()) == parameters(Options)
    assert set(stacks._RECONNECT.split()) == parameters(ReconnectBuf, Backoff)
    assert set(stacks._FRAMING["msgpack"].split()) == parameters(MsgpackMsgBuf)
    assert set(stacks._FRAMING["serialpacker"].split()) == parameters(SerialPackerBlkBuf)


@pytest.mark.parametrize("kind", LINKS)
def test_every_option_of_a_link_is_a_key(kind: str) -> None:
    where, needed, others = LINKS[kind]
    module, name = where.split(":")
    make = getattr(import_module(module), name)
    takes = inspect.signature(make).parameters
    assert set(needed.split()) | set(others.split()) == parameters(make)
    assert needed.split() == [n for n, p in takes.items() if p.default is p.empty]


def test_the_links_of_both_sides_have_the_same_keys() -> None:
    for kind in set(LINKS) & set(DEVICE_LINKS):
        assert LINKS[kind][1] == DEVICE_LINKS[kind][1]
        if kind != "serial":  # a UART has other options than a port of the host
            assert LINKS[kind] == DEVICE_LINKS[kind]
    assert set(DEVICE_LINKS) - set(LINKS) == {"stdio"}


def test_the_links_that_a_device_alone_has_exist() -> None:
    where, needed, others = DEVICE_LINKS["stdio"]
    module, name = where.split(":")
    source = ROOT / "firmware/device" / (module.replace(".", "/") + ".py")
    assert f"class {name}(" in source.read_text()
    assert needed == others == ""


@pytest.mark.parametrize(
    ("cfg", "used", "unused"),
    [
        ({}, "msgpack", ["serialpacker", "reliable", "reconnect", "log"]),
        ({"framing": "serialpacker"}, "msgpack_blk", ["msgpack", "reliable", "reconnect", "log"]),
        (
            {"framing": "serialpacker", "reliable": True},
            "reliable",
            ["_serialpacker_mark", "msgpack", "reconnect", "log", "_crc16"],
        ),
    ],
)
def test_what_is_not_used_is_not_imported(
    cfg: dict[str, Any], used: str, unused: list[str]
) -> None:
    code = (
        "import sys; from moat.micro.stacks import build_stack; "
        f"build_stack({cfg!r}, 1); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert f"moat.micro.proto.{used}" in loaded
    assert "moat.micro.net.kinds" not in loaded
    for name in unused:
        assert f"moat.micro.proto.{name}" not in loaded
