"""What a call costs a device, against the committed figures; see bench/instructions.py."""

from __future__ import annotations

import os

import pytest

from bench.instructions import LEDGER, instructions
from tools import fetch

_MORE = 1.05


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_call_costs_no_more_instructions_than_it_did() -> None:
    if os.environ.get("MPY_DIR") or fetch.wanted() != fetch.DEFAULT:
        pytest.skip("the committed figures are those of another MicroPython")
    known = LEDGER.read()
    now = await instructions()
    assert now.keys() == known.keys()
    more = {name: n for name, n in now.items() if n > _MORE * known[name]}
    assert not more, f"committed are {known}; look for the cause, see bench/instructions.py"


def test_the_changelog_says_why_a_call_costs_what_it_does() -> None:
    assert LEDGER.is_told(), f"CHANGELOG.md lacks a line that begins with {LEDGER.line()!r}"
