"""Mutants of the request cores: the machine that tests them finds what is wrong with each."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.request_model import Cores, load
from tests.unit.request_stories import STORIES
from tests.unit.request_world import machine

# What is wrong: module, the right text, the wrong one.
MUTANTS = {
    "a peer that has started anew is asked": (
        "_outcome", "elif not same(peer, self._asked) or", "elif"),
    "begun is told as done": (
        "_outcome", "bytes([i for i in served if i > 0] + [i for i in recent if i in vague])",
        'b""'),
    "what runs elsewhere is told as done": (
        "_outcome", " + [i for i in recent if i in vague]", ""),
    "done is told as begun": ("_outcome", "if ident in done:", "if False:"),
    "the outcome of an old call is guessed": (
        "_outcome", "and called - call.order < RECENT", ""),
    "a hello that may be older is believed": (
        "_outcome", "                return []  # it may be", "                pass  # it may be"),
    "what is told of an older session is believed": (
        "_outcome", "            features = {}  # what", "            pass  # what"),
    "calls in doubt are forgotten": (
        "_outcome", "            ended.append((call, self._error(name)))\n", ""),
    "a call that was cancelled is in doubt": (
        "_outcome", "for i, other in self._doubt.items() if other is not call}",
        "for i, other in self._doubt.items()}"),
    "the memory is lost with the link": ("_request", "        if final:\n            self._recent",
        "        if True:\n            self._recent"),
    "the memory is lost with a stranger": ("_request", "= self.lost()", "= self.lost(True)"),
    "the memory grows": (
        "_request", '            self._recent[0:1] = b""\n', "            pass\n"),
    "the memory is kept into the next session": (
        "_request", "if known and event is not None and self.auth is None:", "if False:"),
    "the same id in the next session": (
        "_request", "            self.own = following(self.own)\n", ""),
    "unsent calls are sent after all": (
        "_request", "        self.out.clear()  # nobody needs these any more\n", ""),
    "what was said to who has left": (
        "_request", "        if greets:\n", "        if False:\n"),
    "a session opens for who does not know us": (
        "_request", "        self.open = known\n", "        self.open = True\n"),
    "messages of an older session are taken": (
        "_request", "            if self.open:\n                return self._TABLE",
        "            if self.peer:\n                return self._TABLE"),
    "as many calls as like to": ("_request", "return n >= self._max_served", "return False"),
    "a call that runs on does not count": (
        "_request", "        self.served[number] = self.served[ident]\n", ""),
    "the same id at once": ("_caller", "        core.last = ident\n", ""),
    "an id is free when its call is cancelled": (
        "_caller", "        core.calls[ident] = None\n", "        del core.calls[ident]\n"),
    "more calls than ids can tell apart": (
        "_caller", "if len(core.calls) >= _MAX_CALLS:", "if len(core.calls) >= _IDS - 2:"),
    "credit for another stream": (
        "_request", "msg[0] == kind and msg[1] == ident", "msg[0] == kind"),
    "credit gets lost": ("_request", "                msg[2] = min(msg[2] + n, MOST)\n", ""),
}  # fmt: skip

EXAMPLES = 300
_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def find(cores: Cores) -> None:
    """Raise an error if something is wrong with them."""
    for story in STORIES:
        story(cores)
    run_state_machine_as_test(
        machine(cores),
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=50, deadline=None, database=None,
            phases=[Phase.generate], suppress_health_check=_SLOW, derandomize=True,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("what", MUTANTS)
def test_mutant_is_caught(what: str) -> None:
    cores = load(mutant=MUTANTS[what])
    with pytest.raises(Exception):  # noqa: B017, PT011 -- whatever is found
        find(cores)
