"""What an image says about itself: the hash of all that is in it, its board, and its commands.

    python3 -m tools.image BOARD

shows them. MicroPython keeps neither docstrings nor the names of parameters, so they are taken
from the sources. They go to

    build/BOARD/commands.json           for people
    build/commands/HASH.json            where a host finds them, see moat.micro.docs
    build/BOARD/image/image.h           the hash for the C code, which is `_port.image`
    build/BOARD/image/_moat_image.py    the same for _port.py, the C module in Python
    moat.micro.board                    a frozen module with the facts of board.toml: NAME, LED,
                                        BUTTON, LINK, BAUD, LOSSY
    moat.micro._docs                    with `docs = true` in board.toml a frozen module, PIECES:
                                        the same JSON, compressed, in pieces
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from moat.micro.boards import Board, load
from moat.micro.collect import collect, module_name
from tools import fetch
from tools.common import ROOT, build_dir, main

__all__ = (
    "COLLECTOR", "HASH_MODULE", "NATIVE", "Frozen", "commands", "digest", "facts", "frozen",
    "prepare",
)  # fmt: skip

COLLECTOR = ROOT / "host/moat/micro/collect.py"
HASH_MODULE = "_moat_image.py"
NATIVE = ROOT / "firmware/native"
_PIECE = 1024  # bytes: a message takes one
_DIGITS = 16


@dataclass(frozen=True, order=True)
class Frozen:
    """A file that is frozen: as what, from where, and at which level of optimisation."""

    name: str
    path: Path
    opt: int | None = None


def frozen(manifest: Path, board: Board, source: Path) -> list[Frozen]:
    """All files that a manifest freezes, by name; MicroPython's own tool reads it."""
    tool = _manifestfile(source)
    places = {
        "MPY_DIR": source,
        "MPY_LIB_DIR": build_dir() / "micropython-lib",
        "PORT_DIR": source / "ports" / board.port,
        "BOARD_DIR": board.folder,
    }
    reader = tool.ManifestFile(tool.MODE_FREEZE, {key: str(p) for key, p in places.items()})
    reader.execute(str(manifest))
    return sorted(Frozen(f.target_path, Path(f.full_path), f.opt) for f in reader.files())


def _manifestfile(source: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("manifestfile", source / "tools/manifestfile.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    saved, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the tree may not be ours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = saved
    return module


def digest(files: list[Frozen], *more: str) -> str:
    """The hash of frozen files: of their names, contents, and levels of optimisation.

    `more` goes into it, too.
    """
    total = hashlib.sha256("\0".join(more).encode())
    for file in files:
        content = hashlib.sha256(file.path.read_bytes()).hexdigest()
        total.update(f"{file.name}\0{file.opt}\0{content}\n".encode())
    return total.hexdigest()[:_DIGITS]


def facts(board: Board) -> str:
    """The source of the module moat.micro.board."""
    known = board.facts
    values = {
        "NAME": board.name, "LED": known.led, "BUTTON": known.button, "LINK": board.link,
        "BAUD": known.baud, "LOSSY": known.lossy,
    }  # fmt: skip
    lines = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    return f'"""Made by tools/image.py from board.toml."""\n\n{lines}'


def _beside(board: Board, source: Path) -> list[str]:
    """What is in an image beside the frozen files: C code, MicroPython's settings, the facts."""
    texts = [
        board.port,
        fetch.tree_version(source),
        facts(board),
        repr(sorted(board.build.items())),
    ]
    files = [path for path in NATIVE.rglob("*") if path.is_file()]
    files += board.folder.glob("mpconfig*")
    for path in sorted(files):
        texts += [path.name, path.read_text(encoding="utf-8")]
    return texts


def commands(files: list[Frozen], image: str, board: str) -> str:
    """The description of all commands in these files, as JSON."""
    sources = {
        module_name(file.name): file.path.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".py")
    }
    return _json({"image": image, "board": board, "types": collect(sources)})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _module(text: str) -> str:
    """The source of the module that has this JSON in it."""
    compact = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    data = zlib.compress(compact.encode(), 9)
    pieces = tuple(data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
    return f'"""Made by tools/image.py."""\n\nPIECES = {pieces!r}\n'


def prepare(board: Board, source: Path, out: Path) -> Path:
    """Write all of it; returns the manifest to build with. A file that is right is left alone.

    Args:
        board: the board.
        source: MicroPython's source.
        out: the board's build folder.
    """
    own = board.manifest
    files = frozen(own, board, source)
    image = digest(files, *_beside(board, source))
    text = commands(files, image, board.name)
    manifest = out / "manifest.py"
    _write(out / "image/image.h", f'#define MOAT_IMAGE "{image}"\n')
    _write(manifest, f'include("{own}")\nfreeze("{out / "image"}", opt=1)\n')
    if "MOAT_STOCK" not in board.build:  # there it would hide the package in the file system
        _write(out / "image/moat/micro/board.py", facts(board))
    if any(file.name == "_port.py" for file in files):
        _write(out / f"image/{HASH_MODULE}", f'IMAGE = "{image}"\n')
    if board.docs:
        _write(out / "image/moat/micro/_docs.py", _module(text))
    _write(out / "commands.json", text)
    _write(build_dir() / "commands" / f"{image}.json", text)
    return manifest


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _main(args: list[str]) -> None:
    for name in args:
        board = load(name)
        source = fetch.source()
        files = frozen(board.manifest, board, source)
        print(commands(files, digest(files, *_beside(board, source)), name), end="")


if __name__ == "__main__":
    main(_main)
