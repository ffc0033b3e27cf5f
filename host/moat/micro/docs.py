"""What commands are for: from the sources of an image, found by its hash.

MicroPython keeps no docstrings, so building an image collects them (`moat.micro.collect`,
tools/image.py). A device tells the hash of its image and the types of its nodes; what these have
is then looked up

* in the user's cache: HASH.json in `cache_dir`
* where images are built: commands/HASH.json in `boards.build_dir`
* on the device, if its image was built with `docs = true`

and kept in the cache.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import platformdirs

from moat.micro.boards import build_dir
from moat.micro.errors import LinkLost, LinkReset

__all__ = ["Docs", "Entry", "Image", "cache_dir", "load"]

_MAX_PIECES = 100


@dataclass(frozen=True)
class Entry:
    """A command or a stream: its parameters as in its source, and one line about it."""

    parameters: str
    line: str
    is_stream: bool = False

    @property
    def signature(self) -> inspect.Signature:
        """What `inspect.signature` is to say."""
        return _signature(self.parameters)


class Image:
    """The types of an image, as `moat.micro.collect` describes them."""

    def __init__(self, types: dict[str, Any]) -> None:
        self._types = types

    def line(self, kind: str) -> str:
        """What a type is for; "" when that is not known."""
        return self._types.get(kind, {}).get("doc", "")

    def entries(self, kind: str) -> dict[str, Entry]:
        """The commands and streams of a type, with those of its base classes."""
        found = dict[str, Entry]()
        for name in (described := self._types.get(kind, {})).get("base"), described.get("more"):
            found |= self.entries(name) if name else {}
        for key in "s", "c":
            for name, (parameters, line) in described.get(key, {}).items():
                found[name] = Entry(parameters, line, key == "s")
        return found


def cache_dir() -> Path:
    """The folder of the descriptions that have been used: HASH.json."""
    return platformdirs.user_cache_path("moat-satellite") / "commands"


def load(image: str) -> Image | None:
    """The description of the image with this hash; None when it is nowhere on this machine."""
    cached = cache_dir() / f"{image}.json"
    for path in cached, build_dir() / "commands" / f"{image}.json":
        try:
            text = path.read_text(encoding="utf-8")
            found = Image(json.loads(text)["types"])
        except (OSError, ValueError, KeyError):
            continue  # it is not there, or damaged
        if path != cached:
            _save(image, text)
        return found
    return None


def _save(image: str, text: str) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written is none
        cache_dir().mkdir(parents=True, exist_ok=True)
        new = cache_dir() / f".{image}.{id(text)}"
        new.write_text(text, encoding="utf-8")
        new.replace(cache_dir() / f"{image}.json")


class Docs:
    """What is known about the commands behind a link.

    Args:
        call: async function that calls a command: path, arguments.
    """

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call
        self._nodes: dict[tuple[Any, ...], tuple[str | None, str]] = {}  # image, type
        self._images: dict[str, Image | None] = {}

    async def learn(self, path: Sequence[Any] = ()) -> None:
        """Ask a node for its type and those of its sub-levels; nothing if it does not tell.

        LinkLost, LinkReset: the link has ended.
        """
        try:
            told = await self._call([*path, "doc_"])
            image, kind, below = told["i"], told["t"], told["k"]
            self._nodes[(*path,)] = image, kind
            for name in below:
                self._nodes[(*path, name)] = image, below[name]
            if isinstance(image, str) and self._image(image) is None:
                await self._fetch(image, path)
        except (LinkLost, LinkReset):
            raise
        except Exception as exc:  # whatever it does say
            self._nodes.setdefault((*path,), (None, f"{type(exc).__name__}: {exc}"))

    async def _fetch(self, image: str, path: Sequence[Any]) -> None:
        pieces = list[bytes]()
        while len(pieces) < _MAX_PIECES:
            piece = await self._call([*path, "doc_"], len(pieces))
            if piece is None:
                break
            pieces.append(piece)
        if pieces:
            text = zlib.decompress(b"".join(pieces)).decode()
            _save(image, text)
            self._images[image] = Image(json.loads(text)["types"])

    def _image(self, image: str | None) -> Image | None:
        if image is None:
            return None
        if self._images.get(image) is None:
            self._images[image] = load(image) if image.isalnum() else None
        return self._images[image]

    def entries(self, path: Sequence[Any]) -> dict[str, Entry]:
        """What the node at `path` has, as far as that is known."""
        image, kind = self._nodes.get((*path,), (None, ""))
        known = self._image(image)
        return known.entries(kind) if known else {}

    def find(self, path: Sequence[Any]) -> Entry | None:
        """The command or stream at `path`; None when it is not known."""
        return self.entries(path[:-1]).get(path[-1]) if path else None

    def line(self, path: Sequence[Any]) -> str:
        """One line about a node, or a command; "" when it is not known."""
        if entry := self.find(path):
            return entry.line
        image, kind = self._nodes.get((*path,), (None, ""))
        known = self._image(image)
        return known.line(kind) if known else ""

    def text(self, path: Sequence[Any]) -> str:
        """What `help` says about a node or a command; or why it does not know."""
        if self.find(path):
            return self.line(path)
        if entries := self.entries(path):
            names = [name for name in sorted(entries) if not name.endswith("_")]
            lines = [
                f"{name}{entries[name].signature}\n    {entries[name].line}" for name in names
            ]
            return "\n".join([self.line(path), "", *lines])
        return self.missing(path)

    def missing(self, path: Sequence[Any]) -> str:
        """Why there is no documentation of what is at `path`, and what to do."""
        known = [path[:n] for n in (len(path), len(path) - 1) if n >= 0]
        node = next((self._nodes[(*p,)] for p in known if (*p,) in self._nodes), None)
        if node is None:
            return "Not known yet: `await moat.micro.device.learn(…)` asks the level above."
        image, kind = node
        if image is None:
            return f"The device does not say what this is ({kind})."
        if self._image(image) is None:
            return (
                f"There is no documentation of the image {image}. Copy commands.json, which was "
                f"made with it, to {cache_dir() / image}.json; or build it with `docs = true` in "
                "board.toml."
            )
        return f"The image has no documentation of this ({kind}): its source is not frozen."


def _signature(parameters: str) -> inspect.Signature:
    args = cast(ast.Lambda, ast.parse(f"lambda {parameters}: 0", mode="eval").body).args
    kind = inspect.Parameter
    plain = [*args.posonlyargs, *args.args]
    no_default = [None] * (len(plain) - len(args.defaults))
    found = [
        _parameter(arg.arg, kind.POSITIONAL_OR_KEYWORD, default)
        for arg, default in zip(plain, [*no_default, *args.defaults], strict=True)
    ]
    if args.vararg:
        found.append(kind(args.vararg.arg, kind.VAR_POSITIONAL))
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        found.append(_parameter(arg.arg, kind.KEYWORD_ONLY, default))
    if args.kwarg:
        found.append(kind(args.kwarg.arg, kind.VAR_KEYWORD))
    return inspect.Signature(found)


class _Source:
    """A default that is no literal: what its source says."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _parameter(name: str, kind: Any, default: ast.expr | None) -> inspect.Parameter:
    if default is None:
        return inspect.Parameter(name, kind)
    try:
        value = ast.literal_eval(default)
    except ValueError:
        value = _Source(ast.unparse(default))
    return inspect.Parameter(name, kind, default=value)
