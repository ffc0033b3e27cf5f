"""The logic of the soak of calls; the minutes are for `make soak-calls`."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.system.soak import Result


def result(free: list[list[int]], calls: dict[int, object] | None = None) -> Result:
    core = SimpleNamespace(calls=calls or {}, served={}, out=[])
    load: Any = SimpleNamespace(dev=SimpleNamespace(_cmd=SimpleNamespace(core=core)), count={})
    res = Result(load)
    res.free = free
    res.done = [1000 * (i + 1) for i in range(len(free))]
    res.left = [[0, 0]]
    return res


@pytest.mark.parametrize(
    ("free", "gone"),
    [
        ([[9], [9], [5], [7], [6], [7]], [0]),  # it has grown in the beginning only
        ([[9], [9], [8], [7], [6], [5]], [1]),
        ([[9, 5], [9, 5], [7, 5], [7, 5], [7, 1], [8, 2]], [0, 3]),
    ],
)
def test_what_is_gone_is_found_on_each_device(free: list[list[int]], gone: list[int]) -> None:
    assert result(free).gone == gone


def test_memory_that_falls_slowly_is_found() -> None:
    scatter = [0, 900, 300, 600] * 25
    res = result([[10_000 - 40 * i + scatter[i], 5000 + scatter[i]] for i in range(100)])
    [(lost, error), (flat, error_of_flat)] = res.falls
    assert lost == pytest.approx(40, abs=error)
    assert abs(flat) < error_of_flat < 10
    res.judge()
    assert "1,000 calls cost" in "".join(res.wrong)


def test_memory_that_only_scatters_is_not_gone() -> None:
    res = result([[10_000 + [0, 900, 300, 600][i % 4]] for i in range(100)])
    res.judge()
    assert res.wrong == []


def test_what_is_left_over_is_wrong() -> None:
    res = result([])
    res.check([[0, 0]])
    assert res.wrong == []
    res.check([[0, 1]])
    assert "left over: [[0, 1]], not [[0, 0]]" in res.wrong[0]


def test_a_call_that_is_left_over_on_the_host_is_wrong() -> None:
    res = result([], {1: object()})
    res.check(res.left)
    assert "on the host" in res.wrong[0]


def test_the_table_shows_the_memory_of_each_device() -> None:
    console = Console(file=StringIO(), record=True, width=100)
    console.print(result([[1001, 2001]] * 6).table())
    text = console.export_text()
    assert "1,001" in text
    assert "2,001" in text
    assert "nothing" in text
