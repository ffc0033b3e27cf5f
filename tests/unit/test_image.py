"""The hash of what an image freezes, and the description that is made with it."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from moat.micro.boards import Board, Facts, all_boards, load
from moat.micro.docs import Image
from tools import fetch, image
from tools.common import build_dir
from tools.image import Frozen

APP = 'from moat.micro.cmd.tree import BaseCmd\nclass App(BaseCmd):\n    """Grüße."""\n'


@pytest.fixture
def files(tmp_path: Path) -> list[Frozen]:
    """Two files that are frozen."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"# {name}\n")
    return [Frozen("x/a.py", tmp_path / "a.py", 1), Frozen("x/b.py", tmp_path / "b.py", 1)]


def test_a_hash_is_16_digits(files: list[Frozen]) -> None:
    assert len(image.digest(files)) == 16
    int(image.digest(files), 16)


def test_what_is_frozen_changes_the_hash(files: list[Frozen]) -> None:
    first, second = files
    other_text = first.path.with_name("c.py")
    other_text.write_text("# c.py\n")
    swapped = [replace(first, path=second.path), replace(second, path=first.path)]
    seen = {
        image.digest(changed)
        for changed in (
            files,
            [first],
            [first, replace(second, path=other_text)],
            [first, replace(second, name="x/c.py")],
            [first, replace(second, opt=3)],
            swapped,
        )
    }
    assert len(seen) == 6


def test_nothing_else_changes_the_hash(files: list[Frozen], tmp_path: Path) -> None:
    before = image.digest(files)
    (tmp_path / "elsewhere").mkdir()
    moved: list[Frozen] = []
    for file in files:
        path = tmp_path / "elsewhere" / file.path.name
        path.write_bytes(file.path.read_bytes())
        moved.append(replace(file, path=path))
    assert image.digest(moved) == before
    files[0].path.touch()
    assert image.digest(files) == before


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board with one module of its own, whose build goes to a folder of the test."""
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path / "build"))
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "manifest.py").write_text('freeze(".", "app.py", opt=2)\n')
    (folder / "app.py").write_text(APP)
    return replace(load("unix"), folder=folder)


def made(board: Board) -> dict[str, tuple[str, int]]:
    """Prepare a build; all files that this leaves, with their time of change."""
    out = build_dir() / board.name
    image.prepare(board, fetch.source(), out)
    files = [path for path in build_dir().rglob("*") if path.is_file()]
    return {
        path.relative_to(build_dir()).as_posix(): (path.read_text(), path.stat().st_mtime_ns)
        for path in files
    }


def test_a_build_is_prepared_once(board: Board) -> None:
    first = made(board)
    text, _ = first["unix/commands.json"]
    name = json.loads(text)["image"]
    assert set(first) == {
        "unix/commands.json", "unix/manifest.py", "unix/image/image.h", f"commands/{name}.json",
        "unix/image/moat/micro/board.py",
    }  # fmt: skip
    assert first["unix/image/image.h"][0] == f'#define MOAT_IMAGE "{name}"\n'
    assert first[f"commands/{name}.json"][0] == text
    assert made(board) == first


def test_a_change_gives_a_new_hash_and_keeps_the_old_description(board: Board) -> None:
    before = set(made(board))
    (board.folder / "app.py").write_text(APP + "\n")
    after = set(made(board))
    assert before < after
    assert len(after - before) == 1


def test_the_facts_about_the_board_are_frozen(board: Board) -> None:
    board = replace(board, facts=Facts(led="P1", baud=9600, lossy=True))
    scope: dict[str, object] = {}
    exec(made(board)["unix/image/moat/micro/board.py"][0], scope)  # noqa: S102 -- our own
    facts = {name: value for name, value in scope.items() if name.isupper()}
    assert facts == {
        "NAME": "unix", "LED": "P1", "BUTTON": None, "LINK": "stdio", "BAUD": 9600, "LOSSY": True,
    }  # fmt: skip


def test_what_else_is_in_an_image_changes_its_hash(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now(board: Board) -> str:
        return json.loads(made(board)["unix/commands.json"][0])["image"]

    before = now(board)
    assert now(replace(board, title="another text")) == before
    changed = [
        now(replace(board, facts=Facts(led=1))),
        now(replace(board, build={"A": "1"})),
        now(replace(board, port="qemu")),
    ]
    (board.folder / "mpconfigvariant.h").write_text("#define A 1\n")
    changed.append(now(board))
    native = board.folder / "native"
    native.mkdir()
    monkeypatch.setattr(image, "NATIVE", native)
    changed.append(now(board))
    (native / "a.c").write_text("int a;\n")
    changed.append(now(board))
    assert len({before, *changed}) == 1 + len(changed)


def test_the_documentation_can_be_frozen(board: Board) -> None:
    text, _ = made(board)["unix/commands.json"]
    with_docs = made(replace(board, docs=True))
    assert with_docs["unix/commands.json"][0] == text
    scope: dict[str, list[bytes]] = {}
    exec(with_docs["unix/image/moat/micro/_docs.py"][0], scope)  # noqa: S102 -- our own
    assert json.loads(zlib.decompress(b"".join(scope["PIECES"]))) == json.loads(text)
    assert all(len(piece) <= 1024 for piece in scope["PIECES"])


@pytest.mark.parametrize("name", [board.name for board in all_boards()])
def test_every_command_of_an_image_has_a_line(name: str) -> None:
    board = load(name)
    files = image.frozen(board.manifest, board, fetch.source())
    types = json.loads(image.commands(files, "", name))["types"]
    assert Image(types).entries("moat.micro.app.sys:SysCmd")["ping"].parameters == "m=None"
    for kind, described in types.items():
        assert described["doc"], kind
        for entry in Image(types).entries(kind).values():
            assert entry.line.endswith((".", ":")), (kind, entry)
