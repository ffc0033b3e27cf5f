"""Fault injection: what the core decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.micro.testing.faults import Faults, Injector

chances = st.sampled_from([0, 0.01, 0.3, 1])
delays = st.sampled_from([0, 5, (0, 0), (1, 30)])
settings = st.builds(
    Faults, loss=chances, duplicate=chances, reorder=chances, flip=chances, drop=chances,
    delay_ms=delays, reorder_ms=st.sampled_from([0, 20]), rate=st.sampled_from([0, 1000]),
)  # fmt: skip
units = st.lists(st.binary(max_size=20), max_size=30)


def run(faults: Faults, sent: list[Any], seed: object = 1) -> tuple[list[Any], Injector]:
    """Send a unit a millisecond; return (time, unit) in the order of arrival."""
    line = Injector(faults, seed, of_bytes=all(isinstance(unit, bytes) for unit in sent))
    arrivals = []
    for now, unit in enumerate(sent):
        arrivals += [(now + delay, what) for delay, what in line.feed(unit, now)]
    return sorted(arrivals, key=lambda arrival: arrival[0]), line


def arrived(faults: Faults, sent: list[Any], seed: object = 1) -> list[Any]:
    """What arrives, in that order."""
    return [unit for _, unit in run(faults, sent, seed)[0]]


@given(settings, units)
def test_the_same_seed_gives_the_same_faults(faults, sent):
    first, line = run(faults, sent)
    second, other = run(faults, sent)
    assert first == second
    assert line.counts == other.counts
    assert all(type(unit) is bytes for _, unit in first)


def test_another_seed_gives_other_faults():
    faults = Faults(loss=0.5)
    assert arrived(faults, list(range(100)), 1) != arrived(faults, list(range(100)), 2)


@given(units)
def test_a_good_line_changes_nothing(sent):
    arrivals, line = run(Faults(), sent)
    assert arrivals == list(enumerate(sent))
    assert (line.counts.units, line.counts.faults) == (len(sent), 0)


@given(settings, st.lists(st.integers(), max_size=50))
def test_the_counts_add_up(faults, sent):
    faults = Faults(loss=faults.loss, duplicate=faults.duplicate, reorder=faults.reorder)
    arrivals, line = run(faults, sent)
    counts = line.counts
    assert counts.units == len(sent)
    assert len(arrivals) == counts.units - counts.lost + counts.duplicated
    assert counts.faults == counts.lost + counts.duplicated + counts.reordered


@pytest.mark.parametrize(
    ("name", "count"), [("loss", "lost"), ("duplicate", "duplicated"), ("reorder", "reordered")]
)
def test_faults_of_units_are_as_frequent_as_told(name, count):
    _, line = run(Faults(**{name: 0.1}), list(range(10_000)))
    assert 900 < getattr(line.counts, count) < 1100


@pytest.mark.parametrize(("name", "count"), [("flip", "flipped"), ("drop", "dropped")])
def test_faults_of_bytes_are_as_frequent_as_told(name, count):
    _, line = run(Faults(**{name: 0.01}), [bytes(100)] * 1000)
    assert 900 < getattr(line.counts, count) < 1100
    _, line = run(Faults(**{name: 1}), [bytes(10)])
    assert getattr(line.counts, count) == 10


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), min_size=1), chances, chances)
def test_faults_of_bytes_do_not_depend_on_the_chunks(data, sizes, flip, drop):
    faults = Faults(flip=flip, drop=drop)
    chunks, at = [], 0
    while at < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[at : at + size])
        at += size
    assert b"".join(arrived(faults, chunks)) == b"".join(arrived(faults, [data]))


@given(st.binary(min_size=1, max_size=200), chances)
def test_a_flip_changes_one_bit_of_a_byte(data, flip):
    arrivals, line = run(Faults(flip=flip), [data])
    wrong = [a ^ b for a, b in zip(data, arrivals[0][1], strict=True) if a != b]
    assert len(wrong) == line.counts.flipped
    assert all(bits.bit_count() == 1 for bits in wrong)


@given(st.binary(max_size=200), chances)
def test_what_is_dropped_is_missing(data, drop):
    arrivals, line = run(Faults(drop=drop), [data])
    got = b"".join(unit for _, unit in arrivals)
    assert len(got) == len(data) - line.counts.dropped
    rest = iter(data)
    assert all(byte in rest for byte in got)  # the others, in order


def test_the_chance_of_one_fault_does_not_change_where_the_others_are():
    sent = list(range(200))
    lost = set(sent) - set(arrived(Faults(loss=0.2), sent))
    others = Faults(loss=0.2, duplicate=0.5, reorder=0.5, delay_ms=(0, 9))
    assert set(sent) - set(arrived(others, sent)) == lost


@given(st.integers(0, 99), st.sampled_from([0, 1000]))
def test_units_stay_in_order_unless_they_are_held_back(seed, rate):
    sent = list(range(100))
    assert arrived(Faults(delay_ms=(0, 50), rate=rate), sent, seed) == sent
    held = Faults(delay_ms=(0, 50), reorder=0.2)
    assert sorted(arrived(held, sent, seed)) == sent
    assert arrived(held, sent, seed) != sent


def test_a_unit_is_held_back_for_a_limited_time():
    arrivals, line = run(Faults(reorder=0.5, reorder_ms=7), list(range(100)))
    held = [due - unit for due, unit in arrivals if due != unit]
    assert len(held) == line.counts.reordered > 30
    assert 0 < min(held) < 1
    assert 6 < max(held) <= 7


def test_a_delay_is_within_its_limits():
    arrivals, _ = run(Faults(delay_ms=(3, 4)), list(range(1000)))
    assert all(3 <= due - unit <= 4 for due, unit in arrivals)
    arrivals, _ = run(Faults(delay_ms=5), [1, 2])
    assert arrivals == [(5, 1), (6, 2)]


def test_a_slow_line_carries_one_after_the_other():
    line = Injector(Faults(rate=1000, delay_ms=5), 1)
    assert line.feed(bytes(100), 0) == [(105, bytes(100))]
    assert line.feed(bytes(50), 10) == [(145, bytes(50))]
    assert line.busy_ms(20) == 130
    assert line.busy_ms(200) == 0
    assert line.feed(bytes(10), 300) == [(15, bytes(10))]


def test_what_is_lost_has_been_carried():
    line = Injector(Faults(rate=1000, loss=1), 1)
    assert line.feed(bytes(100), 0) == []
    assert line.busy_ms(0) == 100


def test_nothing_passes_a_line_that_is_cut():
    line = Injector(Faults(), 1)
    line.is_cut = True
    assert line.feed(b"a", 0) == []
    line.is_cut = False
    assert line.feed(b"b", 0) == [(0, b"b")]
    assert (line.counts.cut, line.counts.units) == (1, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": -0.1}, {"flip": 1.1}, {"delay_ms": -1}, {"delay_ms": (2, 1)}, {"rate": -1},
        {"reorder_ms": -1},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"probability|negative"):
        Faults(**wrong)
