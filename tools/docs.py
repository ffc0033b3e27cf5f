"""The parts of the documentation that are made or run: the table of boards, the code blocks.

    build/venv/bin/python -m tools.docs

writes the table of boards in README.md anew. A code block that a test runs has a comment with
its name in the line above: ``<!-- run: NAME -->``.
"""

from __future__ import annotations

import re
from pathlib import Path

from moat.micro.boards import Board, all_boards
from tools.common import ROOT, main, say

__all__ = ("block", "blocks", "board_table", "with_table")

README = ROOT / "README.md"
_BEGIN = "<!-- boards: made by `python -m tools.docs` from boards/*/board.toml -->\n"
_END = "<!-- end of boards -->\n"
_HOW = {
    "esptool": "`make flash`, by esptool",
    "mpremote": "`make install`, by mpremote",
    "run": "runs on this machine",
    "uf2": "the UF2 is copied to its boot loader's drive",
}


def board_table(boards: list[Board]) -> str:
    """The boards as a Markdown table."""
    lines = [
        "| BOARD | what it is | MCU | image | how it is used | needs |",
        "|---|---|---|---|---|---|",
    ]
    for board in boards:
        needs = ", ".join(f"`{need.tool}`" for need in board.needs)
        image = f"`build/{board.name}/{board.image}`"
        cells = (f"`{board.name}`", board.title, board.mcu, image, _HOW[board.flash], needs)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(text: str, table: str) -> str:
    """`text`, a README, with `table` between its two markers.

    Raises:
        ValueError: a marker is missing.
    """
    head, begin, rest = text.partition(_BEGIN)
    _old, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ValueError("the markers of the table of boards are missing")
    return head + begin + table + end + tail


def blocks(path: Path, kind: str = "run") -> dict[str, str]:
    """The code blocks of a document that have a comment ``<!-- kind: name -->``, by name.

    Raises:
        ValueError: a name is used twice, or a comment is not followed by a block.
    """
    text = path.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for mark in re.finditer(rf"^<!-- {kind}: (.*) -->\n", text, re.MULTILINE):
        code = re.compile(r"```\w*\n(.*?)^```\n", re.MULTILINE | re.DOTALL).match(text, mark.end())
        if code is None or mark[1] in found:
            raise ValueError(f"{path.name}: {mark[1]!r} has no block, or is there twice")
        found[mark[1]] = code[1]
    return found


def block(path: Path, name: str) -> str:
    """The code block of this name. KeyError: there is none."""
    return blocks(path)[name]


def _main(args: list[str]) -> None:
    del args
    text = README.read_text(encoding="utf-8")
    new = with_table(text, board_table(all_boards()))
    if new != text:
        README.write_text(new, encoding="utf-8")
    say("README.md is up to date" if new == text else "README.md: new table of boards")


if __name__ == "__main__":
    main(_main)
