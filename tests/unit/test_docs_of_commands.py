"""`help` and `inspect.signature` of a device's commands, and where they have it from."""

from __future__ import annotations

import inspect
import json
import pydoc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from moat.micro import docs, rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, DirCmd, Dispatch
from moat.micro.collect import collect
from moat.micro.device import Command, Device, connect, learn
from moat.micro.errors import LinkLost, RemoteError
from moat.micro.proto.msgpack import MsgpackMsgBuf
from tests.unit.streams import SocketBuf, socket_pair

IMAGE = "0123456789abcdef"


class App(BaseCmd):
    """Adds and counts."""

    async def cmd_add(self, a, b=2, *, key="x"):
        """Return the sum.

        Nothing more.
        """
        return a + b

    async def cmd_odd(self, limit=IMAGE):
        """Take an odd default."""

    async def stream_count(self, st, n, *rest, **kw):
        """Count."""


ROOT = Path(__file__).parents[2]
TREE_TEXT = (ROOT / "firmware/portable/moat/micro/cmd/tree.py").read_text()
TYPES = collect({"moat.micro.cmd.tree": TREE_TEXT, __name__: Path(__file__).read_text()})
TEXT = json.dumps({"image": IMAGE, "types": TYPES})


@pytest.fixture(autouse=True)
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves here is an image; cache and build folder are empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(rt, "IMAGE", IMAGE)


@pytest.fixture
def cached() -> Path:
    """The description is in the cache."""
    docs.cache_dir().mkdir(parents=True)
    path = docs.cache_dir() / f"{IMAGE}.json"
    path.write_text(TEXT)
    return path


@asynccontextmanager
async def connected(root: Dispatch | None = None, **kw: Any) -> AsyncIterator[Device]:
    """A device with the app, at `app` and `sub.app`."""
    tree = root or Dispatch({"app": App(), "sub": DirCmd({"app": App()})})
    with socket_pair() as (a, b):
        async with (
            CmdMsg(MsgpackMsgBuf(SocketBuf(b)), tree),
            connect(SocketBuf(a), **kw) as dev,
        ):
            yield dev


async def test_help_shows_what_a_command_is(cached: Path) -> None:
    async with connected() as dev:
        assert dev.app.add.__doc__ == "Return the sum."
        shown = pydoc.plain(pydoc.render_doc(dev.app.add))
        assert "<command app.add(a, b=2, *, key='x')>\n    Return the sum." in shown


async def test_help_of_an_app_lists_its_commands(cached: Path) -> None:
    async with connected() as dev:
        shown = pydoc.plain(pydoc.render_doc(dev.app))
        assert "Adds and counts." in shown
        assert "add(a, b=2, *, key='x')\n        Return the sum." in shown
        assert "dir_" not in shown


async def test_signatures(cached: Path) -> None:
    async with connected() as dev:
        assert str(inspect.signature(dev.app.add)) == "(a, b=2, *, key='x')"
        assert inspect.signature(dev.app.add).bind(1).arguments == {"a": 1}
        assert str(inspect.signature(dev.app.count)) == "(n, *rest, **kw)"
        assert str(inspect.signature(dev.app.odd)) == "(limit=IMAGE)"


async def test_without_a_description_it_says_what_to_do() -> None:
    async with connected() as dev:
        said = str(dev.app.add.__doc__)
        assert f"no documentation of the image {IMAGE}" in said
        assert str(docs.cache_dir() / f"{IMAGE}.json") in said
        assert "docs = true" in said
        assert said in pydoc.plain(pydoc.render_doc(dev.app.add))
        assert repr(dev.app.add) == "<command app.add>"
        with pytest.raises(AttributeError):
            dev.app.add.__signature__  # noqa: B018


def test_the_classes_keep_their_own() -> None:
    assert list(inspect.signature(Command).parameters) == ["cmd", "path", "docs"]
    assert str(Command.__doc__).startswith("A path into the tree")


async def test_deeper_levels_are_learnt(cached: Path) -> None:
    async with connected() as dev:
        assert "learn" in str(dev.sub.app.add.__doc__)
        await learn(dev.sub)
        assert dev.sub.app.add.__doc__ == "Return the sum."


async def test_without_asking_nothing_is_known(cached: Path) -> None:
    async with connected(docs=False) as dev:
        assert "learn" in str(dev.app.add.__doc__)
        await learn(dev)
        assert dev.app.add.__doc__ == "Return the sum."


@pytest.fixture
def other() -> None:
    """The description in the cache is of other types."""
    docs.cache_dir().mkdir(parents=True)
    (docs.cache_dir() / f"{IMAGE}.json").write_text(json.dumps({"image": IMAGE, "types": {}}))


async def test_what_is_not_frozen_is_not_known(other: None) -> None:
    async with connected() as dev:
        assert "its source is not frozen" in str(dev.app.add.__doc__)


async def test_a_host_is_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rt, "IMAGE", None)
    async with connected() as dev:
        assert "does not say what this is" in str(dev.app.add.__doc__)


async def test_a_device_that_does_not_tell(cached: Path) -> None:
    class Silent(Dispatch):
        async def cmd_doc_(self, n: int | None = None) -> None:
            raise RuntimeError("no")

    async with connected(Silent({"app": App()})) as dev:
        assert await dev.app.add(1) == 3
        assert "RuntimeError: no" in dev._docs.text(())


async def test_a_description_of_a_build_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "build/commands"
    folder.mkdir(parents=True)
    (folder / f"{IMAGE}.json").write_text(TEXT)
    assert docs.load(IMAGE)
    (folder / f"{IMAGE}.json").unlink()
    assert docs.load(IMAGE)
    assert [path.name for path in docs.cache_dir().iterdir()] == [f"{IMAGE}.json"]


def test_a_damaged_description_is_none(cached: Path) -> None:
    for text in ("", "{}", "[", b"\xff".decode("latin1")):
        cached.write_text(text)
        assert docs.load(IMAGE) is None


async def test_a_description_in_the_image_is_fetched_once() -> None:
    data = zlib.compress(TEXT.encode())
    asked: list[object] = []

    async def call(path: list[object], *args: int) -> object:
        asked.append((path, args))
        if not args:
            kinds = {"app": f"{__name__}:App"}
            return {"i": IMAGE, "t": "moat.micro.cmd.tree:Dispatch", "k": kinds}
        return data[args[0] * 100 : (args[0] + 1) * 100] or None

    for calls in len(data) // 100 + 3, 1:
        asked.clear()
        known = docs.Docs(call)
        await known.learn(["there"])
        assert known.line(["there", "app", "add"]) == "Return the sum."
        assert len(asked) == calls


async def test_a_link_that_ends_meanwhile_is_an_error() -> None:
    async def call(path: list[object]) -> object:
        raise LinkLost("gone")

    with pytest.raises(LinkLost):
        await docs.Docs(call).learn()


async def test_an_old_device_is_no_error() -> None:
    async def call(path: list[object]) -> object:
        raise RemoteError("Odd", [])

    known = docs.Docs(call)
    await known.learn()
    assert known.find(["app", "add"]) is None


async def test_names_of_images_are_no_paths(tmp_path: Path) -> None:
    (tmp_path / "cache/moat-satellite").mkdir(parents=True)
    (tmp_path / "cache/moat-satellite/evil.json").write_text(TEXT)

    async def call(path: list[object], n: int | None = None) -> object:
        return {"i": "../evil", "t": f"{__name__}:App", "k": {}} if n is None else None

    known = docs.Docs(call)
    await known.learn()
    assert known.entries([]) == {}
