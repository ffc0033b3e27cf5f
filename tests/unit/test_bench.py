"""The benchmarks' own logic; that they run, and keep their bars, is for `make bench` to show."""

import json
from io import StringIO
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from bench import run
from bench._figure import Bar, Figure, at_least, at_most
from bench._ledger import Ledger
from bench._repl import RawRepl, ReplError
from bench._rounds import in_turn
from moat.micro.proto.stack import BaseBuf


@pytest.mark.parametrize(
    ("bar", "value", "ok"),
    [
        (at_most(2), 2, True),
        (at_most(2), 2.01, False),
        (at_least(2), 2, True),
        (at_least(2), 1.99, False),
        (at_most(2), float("nan"), False),
        (at_least(2), float("nan"), False),
        (None, 1e9, True),
    ],
)
def test_a_figure_keeps_its_bar_or_not(bar: Bar | None, value: float, ok: bool) -> None:
    assert Figure("x", value, "s", bar).ok is ok


def test_a_bar_can_be_read() -> None:
    assert str(at_most(24 * 1024)) == "at most 24,576"
    assert str(at_least(1.5)) == "at least 1.5"


def test_figures_and_failures_as_json() -> None:
    results: run.Results = {"a": Figure("a", 3.5, "s", at_most(2)), "b": "ValueError: no"}
    assert run.as_json(results) == {
        "a": {"value": 3.5, "unit": "s", "bar": "at most 2", "ok": False},
        "b": {"value": None, "unit": None, "bar": None, "ok": False, "error": "ValueError: no"},
    }


@pytest.mark.parametrize(
    ("results", "ok"),
    [
        ({"a": Figure("a", 1, "s", at_most(2)), "a.part": Figure("a.part", 7, "s")}, True),
        ({"a": Figure("a", 1, "s", at_most(2)), "b": Figure("b", 3, "s", at_most(2))}, False),
        ({"a": Figure("a", 1, "s", at_most(2)), "b": "it broke [not markup]"}, False),
    ],
)
def test_the_table_shows_everything(results: run.Results, ok: bool) -> None:
    console = Console(record=True, width=100, file=StringIO())
    assert run.report(results, console) is ok
    text = console.export_text()
    for name, res in results.items():
        assert name in text
        assert (res if isinstance(res, str) else str(res.value)) in text
    assert ("NO" in text or "failed" in text) is not ok


def test_all_benchmarks_are_found_and_no_helpers() -> None:
    names = run.available()
    assert {"ping_unix", "heap_stack", "heap_ping", "heap_growth"} <= set(names)
    assert "run" not in names
    assert not any(name.startswith("_") for name in names)


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder, and benchmarks that measure nothing."""
    figures: dict[str, run.Results] = {
        "good": {"good": Figure("good", 1, "s", at_most(2))},
        "bad": {"bad": Figure("bad", 3, "s", at_most(2))},
        "broken": {"broken": "OSError: no"},
    }
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path / "out"))
    monkeypatch.setattr(run, "available", lambda: sorted(figures))
    monkeypatch.setattr(run, "measure", lambda name: figures[name])
    return tmp_path / "out" / "bench.json"


@pytest.mark.parametrize(
    ("names", "status", "measured"),
    [
        (["good"], 0, {"good"}),
        (["good", "bad"], 1, {"good", "bad"}),
        (["broken"], 1, {"broken"}),
        ([], 1, {"good", "bad", "broken"}),
    ],
)
def test_a_run_writes_what_it_has_measured(
    benches: Path, names: list[str], status: int, measured: set[str]
) -> None:
    assert run.main(names) == status
    assert set(json.loads(benches.read_text())) == measured


def test_an_unknown_name_is_one_line(benches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["good", "nix"]) == 1
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err == "error: no benchmark 'nix'; there are: bad, broken, good\n"
    assert not benches.exists()


def test_one_that_fails_costs_its_own_figures_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.measure("no_such_thing") == {
        "no_such_thing": "ModuleNotFoundError: No module named 'bench.no_such_thing'"
    }
    assert "Traceback" in capsys.readouterr().err


def test_one_that_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_LIMIT_S", 0)
    monkeypatch.setattr("bench.heap_stack.measure", anyio.sleep_forever)
    assert run.measure("heap_stack") == {"heap_stack": "TimeoutError: no result within 0 seconds"}


async def test_actions_are_timed_in_turn() -> None:
    log: list[str] = []
    now = 0.0

    def action(name: str, durations: list[float]):
        async def call() -> None:
            nonlocal now
            log.append(name)
            now += durations.pop(0)

        return call

    actions = {"a": action("a", [99, 1, 2, 3, 4, 90]), "b": action("b", [99, 7, 7, 8, 9, 9])}
    medians = await in_turn(actions, rounds=2, calls=2, warm_up=1, clock=lambda: now)
    assert "".join(log) == "ab" + "aabb" + "aabb"
    assert medians == {"a": 2.5, "b": 7.5}


class _Image(BaseBuf):
    """A byte stream to an image: answers each write with the next of its lines, in pieces."""

    def __init__(self, answers: list[tuple[bytes, bytes]], piece: int) -> None:
        self._answers = answers
        self._piece = piece
        self._out = b""

    async def wr(self, buf: bytes) -> None:
        expected, answer = self._answers.pop(0)
        assert bytes(buf) == expected
        self._out += answer

    async def rd(self, buf: memoryview) -> int:
        if not self._out:
            raise EOFError
        data, self._out = self._out[: self._piece], self._out[self._piece :]
        buf[: len(data)] = data
        return len(data)


_RAW = b"raw REPL; CTRL-B to exit\r\n>"


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_the_raw_repl_is_entered_by_a_soft_reset(piece: int) -> None:
    image = _Image(
        [
            (b"\x03", b"\xc1\x96binary\xff\r\nMicroPython v1\r\n>>> "),
            (b"\x01", b"\r\n" + _RAW),
            (b"\x04", b"OK\r\nMPY: soft reboot\r\n" + _RAW),
            (b"print(1)\x04", b"OK1\r\n\x04\x04>"),
        ],
        piece,
    )
    repl = RawRepl(image)
    await repl.enter()
    assert await repl.run("print(1)") == "1"


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize(
    ("answer", "message"),
    [(b"OK\x04ValueError: x\r\n\x04>", "^ValueError: x$"), (b"no\r\n>OK", "does not take")],
)
async def test_an_error_at_the_raw_repl_is_raised(piece: int, answer: bytes, message: str) -> None:
    repl = RawRepl(_Image([(b"code\x04", answer)], piece))
    with pytest.raises(ReplError, match=message):
        await repl.run("code")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(
        "# Changes\n\n## [1.0]\n\n### Figures\n\n* older: a 1: first\n", encoding="utf-8"
    )
    return Ledger("bytes", tmp_path / "bytes.toml", changelog)


def test_figures_that_are_committed_are_told_of(ledger: Ledger) -> None:
    ledger.update({"small": 7, "big": 12_345}, "they\n grew")
    assert ledger.read() == {"small": 7, "big": 12_345}
    assert ledger.is_told()
    assert ledger.log.read_text(encoding="utf-8").splitlines()[-2:] == [
        "* older: a 1: first",
        "* bytes: small 7, big 12,345: they grew",
    ]


@pytest.mark.parametrize("reason", ["", " "])
def test_figures_without_a_reason_are_not_told_of(ledger: Ledger, reason: str) -> None:
    ledger.update({"small": 7}, reason)
    assert not ledger.is_told()


def test_figures_that_were_changed_by_hand_are_not_told_of(ledger: Ledger) -> None:
    ledger.update({"small": 7}, "a reason")
    ledger.path.write_text("small = 8", encoding="utf-8")
    assert not ledger.is_told()


def test_a_ledger_without_figures_knows_none(ledger: Ledger) -> None:
    assert ledger.read() == {}
