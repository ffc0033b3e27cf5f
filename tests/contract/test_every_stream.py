"""Every public stream class has a pair-maker in tests/contract/streams, on each side."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from moat.micro.proto.stack import Base, BaseMsg

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("MOAT_BUILD") or ROOT / "build").resolve()
IMAGE = BUILD / "unix" / "micropython"

# What others derive from, and nobody uses as it is.
ABSTRACT = {"Base", "BaseBuf", "BaseBlk", "BaseMsg", "Stacked", "SockLink"}
VERBS = {"rd": "Buf", "rcv": "Blk", "recv": "Msg"}
# What has no other end.
NO_PAIR = {"ReplayBuf", "ReplayBlk", "ReplayMsg"}  # they play a capture back
RUNS_AT_ONCE = {"moat.micro.main"}

Found = set[tuple[str, str]]  # class, contract

# The same as `streams_in`, on MicroPython, where a class does not know its module.
LIST = """
import sys
from moat.micro.proto.stack import Base
for name in {names}:
    mod = __import__(name, None, None, ["x"])
    for x in dir(mod):
        cls = getattr(mod, x)
        if isinstance(cls, type) and issubclass(cls, Base) and cls.__name__ == x and x[0] != "_":
            for verb in ("rd", "rcv", "recv"):
                if hasattr(cls, verb):
                    print(x, verb)
"""


def streams_in(module: Any) -> Iterator[tuple[str, str]]:
    """The public stream classes that a module defines."""
    for name, cls in vars(module).items():
        if (
            isinstance(cls, type)
            and issubclass(cls, Base)
            and cls.__module__ == module.__name__
            and cls.__name__ == name  # else it is another name for it
            and name[0] != "_"
        ):
            for verb, kind in VERBS.items():
                if hasattr(cls, verb) and name not in ABSTRACT | NO_PAIR:
                    yield name, kind


def host_modules() -> Iterator[ModuleType]:
    """All modules that CPython can import as moat.micro."""
    for root in (ROOT / "firmware" / "portable", ROOT / "host"):
        for path in sorted(root.rglob("moat/micro/**/*.py")):
            yield importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))


def image(code: str) -> str:
    """What the unix image prints."""
    if not IMAGE.exists():
        pytest.fail("run: make BOARD=unix build", pytrace=False)
    env = {**os.environ, "MICROPYPATH": ".frozen"}
    done = subprocess.run(
        [IMAGE, "-c", code], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def device_streams() -> Found:
    """The public stream classes that are frozen into the unix image."""
    words = image("help('modules')").split()
    names = {word.replace("/", ".") for word in words if word.startswith("moat/")}
    lines = image(LIST.format(names=sorted(names - RUNS_AT_ONCE))).splitlines()
    found = {(name, VERBS[verb]) for name, verb in map(str.split, lines)}
    return {pair for pair in found if pair[0] not in ABSTRACT}


def registered(side: str) -> Found:
    """The classes that have a pair-maker on this side."""
    for folder in ("both", "contract/streams"):
        if (path := str(ROOT / "tests" / folder)) not in sys.path:
            sys.path.append(path)
    makers = importlib.import_module("_suite").MAKERS
    return {(m.name, m.kind) for m in makers if m.side in ("both", side)}


def test_every_stream_of_the_host_has_a_pair() -> None:
    found = {stream for module in host_modules() for stream in streams_in(module)}
    assert len(found) > 8
    assert found - registered("host") == set()
    assert registered("host") - found == set()


def test_every_stream_of_the_device_has_a_pair() -> None:
    found = device_streams()
    assert len(found) > 6
    assert found - registered("device") == set()
    # The test kit is not frozen.
    assert {name for name, _ in registered("device") - found} == {"MemBuf", "MemBlk", "MemMsg"}


def test_a_new_class_is_noticed() -> None:
    class NewMsg(BaseMsg):
        pass

    class _OwnMsg(BaseMsg):
        pass

    class NoStream(Base):
        pass

    module = SimpleNamespace(
        __name__=__name__, NewMsg=NewMsg, _OwnMsg=_OwnMsg, NoStream=NoStream, Found=Found
    )
    assert list(streams_in(module)) == [("NewMsg", "Msg")]
    module.__name__ = "another"  # it is imported there
    assert list(streams_in(module)) == []
