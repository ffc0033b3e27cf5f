"""The soak's own logic; the million messages are for `make soak`."""

from __future__ import annotations

from io import StringIO
from random import Random
from typing import Any

import pytest
from rich.console import Console

from moat.micro.proto._window import Receiver
from tests.soak import damage, soak, table


def run(messages: int, seed: int) -> str:
    """What the soak prints."""
    console = Console(file=StringIO(), record=True, width=100)
    console.print(table(soak(messages, seed, console)))
    return console.export_text()


def test_the_table_shows_what_has_happened() -> None:
    text = run(300, 5)
    rows = dict(line.strip("│ ").split("│") for line in text.split("\n") if line.startswith("│"))
    counts = {name.strip(): int(n.replace(",", "")) for name, n in rows.items()}
    assert counts["messages that arrived, each once and in order"] >= 300
    assert counts["frames that were sent"] > 300
    assert counts["sessions that were opened, counted at each end"] >= 2


def test_a_fault_ends_it_and_tells_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(self: Receiver, seq: int, msg: Any, now: int) -> None:
        self.ready.append(msg)
        self.next = max(self.next, seq + 1)
        self.due = now

    monkeypatch.setattr(Receiver, "put", put)
    with pytest.raises(AssertionError) as caught:
        run(100_000, 5)
    assert any("the seed" in note for note in caught.value.__notes__)


def test_damage_is_noticed_by_the_checksum() -> None:
    random = Random(1)
    for _ in range(300):
        damage([0x12345678, 1, 8, 0, 1, "message"], random)
