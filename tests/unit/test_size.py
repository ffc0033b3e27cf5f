"""What the parts of an image take, and that growth is noticed and has a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moat.micro.boards import load
from tools import changelog, check_size, parts, setup, size
from tools.check_size import Figures
from tools.common import ROOT, ToolError

KNOWN = Figures("gcc 14", 100_000, 50_000, 20_000)
CHANGES = """# Changelog

## [0.2.0] - unreleased

### Added

* A thing.

## [0.1.0]

### Added

* The first thing.
"""


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("moat/micro/proto/_framed.py", "proto"),
        ("msgpack.py", "proto"),
        ("_crc16_viper.py", "proto"),
        ("moat/micro/stacks.py", "proto"),
        ("moat/micro/cmd/tree.py", "cmd"),
        ("moat/micro/app/sys.py", "apps"),
        ("moat/micro/net/uart.py", "net"),
        ("moat/micro/rt.py", "rt, start-up"),
        ("moat/micro/main.py", "rt, start-up"),
        ("asyncio/core.py", "asyncio"),
        ("uasyncio.py", "asyncio"),
        ("rp2.py", "frozen, MicroPython's own"),
    ],
)
def test_a_file_belongs_to_a_part(file, part):
    assert parts.part_of(file) == part


def test_symbols_belong_to_the_module_with_the_longest_name():
    symbols = [
        ("fun_data_a_b_f", 10), ("const_obj_a_b_0", 1), ("fun_data_a_b_c__lt_module_gt_", 100),
        ("frozen_module_a_b_c", 1000), ("mp_qstr_frozen_const_pool", 5), ("fun_data_ab_f", 5),
    ]  # fmt: skip
    found = parts.module_sizes(symbols, ["a/b.py", "a/b/c.py", "d.py"])
    assert found == {"a/b.py": 11, "a/b/c.py": 1100}


def test_modules_that_are_loaded():
    sizes = {"a/b.py": 1, "a/__init__.py": 10, "c.py": 100}
    assert parts.loaded(sizes, ["a.b", "a", "sys"]) == 11


MAP = """
 .text.port_peek
                0x0000000000000000       0x99 CMakeFiles/x/firmware/native/port/port.c.o
Linker script and memory map
 .text.port_peek
                0x0000000010000100       0x10 CMakeFiles/x/firmware/native/port/port.c.o
 .rodata.a      0x0000000010000200        0x1 CMakeFiles/x/firmware/native/port/port.c.o
 .bss.b         0x0000000020000000      0x100 CMakeFiles/x/firmware/native/port/port.c.o
 .text.gone     0x0000000000000000      0x200 CMakeFiles/x/firmware/native/port/port.c.o
 .text.other    0x0000000010000300      0x400 CMakeFiles/x/port/port.c.o
 .text.made     0x0000000010000300        0x2 /x/build/some/port/port.o
"""


def test_our_c_code_is_found_in_the_linkers_map():
    assert parts.native_size(MAP, "some") == 0x13
    assert parts.native_size(MAP, "other") == 0x11


@pytest.mark.parametrize("name", ["unix", "qemu-arm", "rp2"])
def test_the_parts_of_an_image_are_the_whole(name):
    board = load(name)
    if not (board.image_path.is_file() and setup.has(board.needs[0])):
        pytest.skip(f"run: make BOARD={name} build")
    found = size.sections(board, board.elf_path)
    total = found["text"] + found["data"]
    made = parts.parts(board, total, size.frozen(board))
    assert sum(made.values()) == total
    assert all(made[part] > 4000 for part in ("proto", "cmd", "apps", "net", "asyncio"))
    assert made["proto"] + made["cmd"] < total / 3
    assert 1000 < made["our C code"] < 20_000


@pytest.mark.parametrize(
    ("key", "limit"), [("flash", 102_000), ("frozen", 51_000), ("heap", 20_400)]
)
def test_growth_of_more_than_two_percent_is_a_problem(key, limit):
    assert check_size.compare("x", KNOWN, replace(KNOWN, **{key: limit})) == []
    (text,) = check_size.compare("x", KNOWN, replace(KNOWN, **{key: limit + 1}))
    assert text == (
        f"x: {key} has grown from {getattr(KNOWN, key):,} to {limit + 1:,} bytes (+2.0 %)"
    )
    assert check_size.compare("x", KNOWN, replace(KNOWN, **{key: 1})) == []


def test_another_compiler_is_compared_by_the_frozen_modules_only():
    grown = replace(KNOWN, compiler="gcc 15", flash=200_000, heap=40_000)
    assert check_size.compare("x", KNOWN, grown) == []
    assert len(check_size.compare("x", KNOWN, replace(grown, frozen=60_000))) == 1


def test_figures_are_written_and_read(tmp_path):
    figures = {"b": KNOWN, "a": replace(KNOWN, heap=0)}
    check_size.write(tmp_path / "x", figures)
    assert check_size.read(tmp_path / "x") == figures
    assert check_size.read(tmp_path / "none") == {}


def test_new_figures_without_a_line_in_the_change_log_are_noticed():
    text = check_size.line("x", KNOWN, "more apps", None)
    assert text == "* Size of x: flash 100,000, frozen 50,000, heap 20,000 bytes: more apps"
    changes = changelog.add(CHANGES, [text])
    assert check_size.stated("x", KNOWN, changes)
    assert not check_size.stated("x", KNOWN, CHANGES)
    assert not check_size.stated("y", KNOWN, changes)
    assert not check_size.stated("x", replace(KNOWN, flash=100_001), changes)


def test_the_line_tells_how_much():
    now = replace(KNOWN, flash=110_000)
    assert check_size.line("x", now, "why", KNOWN).endswith("bytes: why (+10.0 % flash)")


def test_lines_are_added_to_the_first_version():
    one = changelog.add(CHANGES, ["* a"])
    assert "* A thing.\n\n### Figures\n\n* a\n\n## [0.1.0]" in one
    two = changelog.add(one, ["* b", "* c"])
    assert "### Figures\n\n* a\n* b\n* c\n\n## [0.1.0]" in two
    more = two.replace("## [0.1.0]", "### Fixed\n\n* x\n\n## [0.1.0]")
    assert "* c\n* d\n\n### Fixed" in changelog.add(more, ["* d"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with figures of one board, which is measured as `measured` says."""
    monkeypatch.setattr(check_size, "SIZES", tmp_path / "sizes.toml")
    monkeypatch.setattr(check_size, "CHANGES", tmp_path / "CHANGELOG.md")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    monkeypatch.setattr(check_size, "_built", lambda name: KNOWN)
    return tmp_path


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_update_needs_a_reason(project, reason):
    with pytest.raises(ToolError, match="say why"):
        check_size.update(["unix"], reason)
    assert not (project / "sizes.toml").exists()


def test_an_update_is_written_with_its_reason(project, monkeypatch):
    (text,) = check_size.update(["unix"], "the first")
    assert f"{text}\n" in (project / "CHANGELOG.md").read_text()
    assert check_size.check(["unix"]) == []
    monkeypatch.setattr(check_size, "_built", lambda name: replace(KNOWN, frozen=60_000))
    (problem,) = check_size.check(["unix"])
    assert "frozen has grown from 50,000 to 60,000" in problem
    check_size.update(["unix"], "more")
    assert check_size.check(["unix"]) == []


def test_an_update_by_hand_is_refused(project):
    check_size.update(["unix"], "the first")
    by_hand = replace(KNOWN, flash=110_000)
    check_size.write(project / "sizes.toml", {"unix": by_hand})
    (problem,) = check_size.check(["unix"])
    assert problem == "unix: CHANGELOG.md has no line with its figures in sizes.toml"


def test_a_board_without_figures(project):
    with pytest.raises(ToolError, match="rp2 has no figures; run: make BOARD=rp2 check-size"):
        check_size.check(["rp2"])


@pytest.mark.parametrize("name", sorted(check_size.read(ROOT / "boards/sizes.toml")))
def test_no_image_has_grown(name):
    board = load(name)
    if not (board.image_path.is_file() and setup.has(board.needs[0])):
        pytest.skip(f"run: make BOARD={name} build")
    assert check_size.check([name], make=False) == []
