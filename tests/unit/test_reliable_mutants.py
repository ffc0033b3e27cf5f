"""Mutants of the reliable protocol: the machine that tests it finds what is wrong with each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.reliable_cases import CASES
from tests.unit.reliable_model import constant, machine

_PACKAGE = "moat.micro.proto."
_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
_MODULES = ("_window", "_handshake", "_reliable")

# What is wrong: module, the right text, the wrong one.
MUTANTS = {
    "any tag is taken": (
        "_reliable", "tag == self._handshake.tag or", "self._handshake.is_open or"),
    "the tag has the peer's nonce only": (
        "_handshake", "((a ^ b) * 0x9E3779B1 + (a & b) * 0x85EBCA6B >> 1) & _MASK or 1", "0x1234"),
    "a hello is believed at once": (
        "_handshake", "        if me == self._me:\n            self._open(me, peer)",
        "        if True:\n            self._open(me, peer)"),
    "a challenge disturbs an open session": (
        "_handshake", "if self.is_open or me != self._me:", "if False:"),
    "an old hello ends the session": (
        "_reliable", "        elif what == CONFIRM:",
        ('        elif what == NOTHING and self._handshake.is_open:\n'
        '            self._reset("anew", now)\n        elif what == CONFIRM:')),
    "the peer's restart goes unnoticed": (
        "_handshake", "self._say = _CHALLENGE", "self._say = 0"),
    "nobody asks until the peer is open, too": (
        "_reliable", "return self.sender.blocked or not self._handshake.confirmed",
        "return self.sender.blocked"),
    "numbers wrap at the window": (
        "_reliable", "self.receiver.put(frame[4] | 0, frame[5], now)",
        ("self.receiver.put(self.receiver.next + (frame[4] - self.receiver.next)"
        " % self._options.window, frame[5], now)")),
    "duplicates are delivered": (
        "_window", "if seq < self.next or seq in self._early:", "if seq in self._early:"),
    "what comes early is delivered early": (
        "_window", "        if seq > self.next:\n            early[seq] = msg\n            return",
        "        if seq > self.next:\n            self.next = seq"),
    "an acknowledgement of the future is believed": (
        "_window", 'raise ValueError("acknowledged what was never sent")',
        "n = min(n, self._sent)\n            bits = 0"),
    "an old acknowledgement takes back": (
        "_window", "            return False  # overtaken by a later one",
        "            self.first = ack\n            return False"),
    "selective means cumulative": (
        "_reliable", "self.sender.acked(ack, room, bits, now)",
        "self.sender.acked(ack + bits.bit_length() + (bits > 0), room, 0, now)"),
    "nothing is sent again": ("_window", "        self._lose(1)", "        pass"),
    "credit is ignored by the sender": (
        "_window", "i < self.window and self.first + i < self.edge:", "i < self.window:"),
    "the receiver takes more than it allowed": (
        "_window", 'raise ValueError("more than was allowed")', "pass"),
    "no news of credit": (
        "_window", "self._due = now  # the peer is held up, or soon will be", "pass"),
    "no dedupe after a restart": (
        "_reliable", "        self.receiver = Receiver(self._options.window, ACK_MS)\n",
        ("        if not hasattr(self, 'receiver'):\n"
        "            self.receiver = Receiver(self._options.window, ACK_MS)\n")),
    "a new session sends what the old one had": (
        "_reliable", "        self.sender = Sender(self._options.queue, Rtt(ACK_MS))\n",
        ("        if not hasattr(self, 'sender'):\n"
        "            self.sender = Sender(self._options.queue, Rtt(ACK_MS))\n")),
    "the end of a session is not told": (
        "_reliable", "            self._left.append(exc)\n", ""),
    "what has arrived is lost with the session": (
        "_reliable", "self._left = self.receiver.rest()", "self._left = []"),
    "all is said to be delivered": (
        "_reliable", "        if number < sender.first:", "        if number < sender.sent_end:"),
    "nothing is said to be sent": (
        "_reliable", "return UNKNOWN if number < sender.sent_end else NEVER_SENT",
        "return NEVER_SENT"),
    "no keepalive": ("_reliable", "                self._ping = True\n", ""),
}  # fmt: skip


def mutated(name: str, right: str, wrong: str) -> Callable[..., Any]:
    """Return the core with one text replaced."""
    modules = {}
    kept = {full: sys.modules[full] for m in _MODULES if (full := _PACKAGE + m) in sys.modules}
    try:
        for module in _MODULES:
            path = Path(str(import_module(_PACKAGE + module).__file__))
            source = path.read_text(encoding="utf-8")
            if module == name:
                assert source.count(right) == 1, f"{right!r} is there {source.count(right)} times"
                source = source.replace(right, wrong)
            modules[module] = new = ModuleType(_PACKAGE + module)
            exec(compile(source, str(path), "exec"), new.__dict__)  # noqa: S102
            sys.modules[_PACKAGE + module] = new
    finally:
        sys.modules.update(kept)
    return modules["_reliable"].Reliable


def run(core: Callable[..., Any] | None, examples: int, nonces: Any = None) -> None:
    run_state_machine_as_test(
        machine(core, nonces),
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, database=None,
            phases=[Phase.generate], suppress_health_check=_SLOW, derandomize=True,
        ),
    )  # fmt: skip


def find(core: Callable[..., Any]) -> None:
    """Raise an error if something is wrong with it."""
    for case in CASES.values():
        case(core)
    run(core, 300)


@pytest.mark.parametrize("what", MUTANTS)
def test_mutant_is_caught(what: str) -> None:
    core = mutated(*MUTANTS[what])
    with pytest.raises(Exception):  # noqa: B017, PT011 -- whatever is found
        find(core)


def test_two_ends_without_randomness_are_caught() -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011
        run(None, 300, constant(0, 1))
