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

from tests.unit.reliable_model import constant, machine
from tests.unit.reliable_pauses import ALL

_PACKAGE = "moat.micro.proto."
_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
_MODULES = ("_window", "_handshake", "_past", "_patience", "_reliable")


TAG = "(sender * 0x9E3779B1 + (receiver ^ sender >> 7) * 0x85EBCA6B >> 3) & _MASK | _BITS"
ESTRANGED = "return now - self.strange >= min(self._options.silence_ms >> 1, rto << 3)"
SENDER = "        self.sender = Sender(self._options.queue, Rtt(ACK_MS))\n"
RECEIVER = "        self.receiver = Receiver(self._options.window, ACK_MS, self.past.held)\n"

# What is wrong: module, the right text, the wrong one.
MUTANTS = {
    "any tag is taken": (
        "_reliable", "tag == self._handshake.tag or", "self._handshake.is_open or"),
    "a frame without a session is taken": ("_handshake", "Any\" = object()", "Any\" = -1"),
    "all tags are the same": ("_handshake", TAG, "0x1234"),
    "the tag has one nonce only": ("_handshake", TAG, "max(sender, receiver)"),
    "an echo is taken": (
        "_handshake", TAG, "((sender ^ receiver) * 0x9E3779B1 >> 3) & _MASK | _BITS"),
    "a hello is believed at once": (
        "_handshake", "        if me == self._me:\n            self._open(me, peer)",
        "        if True:\n            self._open(me, peer)"),
    "a challenge disturbs an open session": (
        "_handshake", "if self.is_open or me != self._me:", "if False:"),
    "an old hello ends the session": (
        "_reliable", "        elif what == shake.CONFIRM:",
        ('        elif what == shake.NOTHING and self._handshake.is_open:\n'
        '            self._reset("anew", now)\n        elif what == shake.CONFIRM:')),
    "the peer's restart goes unnoticed": (
        "_handshake", "self._say = _CHALLENGE", "self._say = 0"),
    "another version ends a session": (
        "_reliable", "not (self._options.persistent or self._handshake.is_open):",
        "not self._options.persistent:"),
    "old frames cause hellos without end": (
        "_handshake", "self.due = min(self.due, max(now, self.said + _HELLO_MS))",
        "self.due = now"),
    "nobody asks until the peer is open, too": (
        "_reliable", "strange or not self._handshake.confirmed or", "strange or"),
    "nobody asks for credit": (
        "_reliable", "not self._handshake.confirmed or self.sender.blocked()",
        "not self._handshake.confirmed"),
    "nobody asks whether the peer is in another session": (
        "_reliable", "return strange or not", "return not"),
    "two ends may stay in different sessions": (
        "_patience", ESTRANGED, "return False"),
    "a late frame of another session ends this one": (
        "_patience", ESTRANGED, "return True"),
    "a long way keeps ends apart": ("_patience", ESTRANGED, "return now - self.strange >= 500"),
    "a session without a peer loses messages": (
        "_reliable", "        if self._handshake.confirmed:\n", "        if True:\n"),
    "numbers wrap at the window": (
        "_reliable", "self.receiver.put(frame[4] | 0, frame[5], now)",
        ("self.receiver.put(self.receiver.next + (frame[4] - self.receiver.next)"
        " % self._options.window, frame[5], now)")),
    "duplicates are delivered": (
        "_window", "if seq < self.next or seq in early:", "if seq in early:"),
    "what comes early is delivered early": (
        "_window", "self.due = now  # a gap: the peer wants to know\n            return\n",
        "self.next = early.popitem()[0]\n"),
    "an acknowledgement of the future is believed": (
        "_window", 'raise ValueError("acknowledged what was never sent")',
        "ack = self.sent_end\n            n = ack - self.first\n            sent = bits = 0"),
    "an old acknowledgement takes back": (
        "_window", "            return False  # overtaken by a later one",
        "            self.first = ack\n            return False"),
    "selective means cumulative": (
        "_reliable", "sender.acked(ack, room, bits, now)",
        "sender.acked(ack + bits.bit_length() + (bits > 0), room, 0, now)"),
    "nothing is sent again": ("_window", "        self._lose(1)", "        pass"),
    "what was late is sent twice for ever": (
        "_window", "        if not self._careful:\n", "        if True:\n"),
    "back-off is never given up": (
        "_window", "            self._back_off(0)\n", "            pass\n"),
    "credit is ignored by the sender": (
        "_window", "return n < self.end and n < self.edge and", "return n < self.end and"),
    "the window is ignored by the sender": (
        "_window", "n < self.edge and n - self.first < self.window", "n < self.edge"),
    "the receiver takes more than it allowed": (
        "_window", 'raise ValueError("more than was allowed")', "pass"),
    "no news of credit": (
        "_window", "self.due = now  # the peer is held up, or soon will be", "pass"),
    "no dedupe after a restart": (
        "_reliable", RECEIVER,
        "        if not hasattr(self, 'receiver'):\n    " + RECEIVER),
    "a new session sends what the old one had": (
        "_reliable", SENDER, "        if not hasattr(self, 'sender'):\n    " + SENDER),
    "the end of a session is not told": ("_past", "        left.append(exc)\n", ""),
    "what has arrived is lost with the session": (
        "_past", "        left += receiver.ready\n", ""),
    "what was not read takes no room": ("_reliable", "ACK_MS, self.past.held)", "ACK_MS)"),
    "room is forgotten when that was read": (
        "_reliable", "            self.receiver.released(now)\n", ""),
    "a session that never began ends": (
        "_handshake", "what = REPLACED if self.confirmed else OPENED", "what = REPLACED"),
    "all is said to be delivered": (
        "_past", "    if number < first:", "    if number < sent_end:"),
    "nothing is said to be sent": (
        "_past", "return UNKNOWN if number < sent_end else NEVER_SENT", "return NEVER_SENT"),
    "an older value is sent": ("_window", "                queue[i].msg = msg\n", ""),
    "what was sent is replaced": (
        "_window", "range(self.sent_end - self.first, len(queue))", "range(len(queue))"),
    "no keepalive": ("_patience", "            self.ping = True\n", ""),
    "who has slept gives up": ("_patience", "if late > _LATE_MS:", "if False:"),
    "a link that is down has no limit": (
        "_patience", "self.limit = self._options.down_ms", "self.limit = 1 << 40"),
    "closing loses what is under way": (
        "_reliable", "return self.closing and self.sender.first == self.sender.end",
        "return self.closing"),
    "a farewell is said once": (
        "_reliable", "self._bye_at = now + self.sender.rtt.rto", "self._bye_at = 1 << 40"),
    "a farewell is answered once": (
        "_reliable", "self._last_words = [handshake.old_out_tag, 0]", "pass"),
    "farewells are answered without end": (
        "_handshake", "            self.tag = _NOBODY\n            return [self.out_tag, end]",
        "            return [self.out_tag, end]"),
    "no farewell while opening": (
        "_handshake", "        if self._peer:  # it may", "        if False:  # it may"),
    "a new peer of one that closes hears nothing": (
        "_reliable", "            self._last_words = self._handshake.farewell(0)\n", ""),
    "closing is not for good": (
        "_reliable", "            self._end(LinkLost(why))\n            return\n",
        "            pass\n"),
}  # fmt: skip


# The faults of the reference system's ReliableMsg that a core can have: the case that is for it,
# then how to get it.
FAULTS = {
    "a late duplicate after a window wrap is delivered again": (
        "a_late_duplicate_is_not_delivered_again", *MUTANTS["numbers wrap at the window"]),
    "a stale ack completes all outstanding sends": (
        "an_old_acknowledgement_completes_nothing", "_window",
        "            return False  # overtaken by a later one",
        "            bits = 0\n            ack = self.sent_end\n            n = ack - self.first"),
    "a peer restart drops queues": (
        "what_a_session_has_lost_is_told", "_past",
        "self._lost = (sender.first, sender.sent_end, sender.end)", "pass"),
    "a peer that starts late kills the link": (
        "a_peer_may_start_late", "_reliable",
        "        elif self._handshake.is_open:\n            sender = self.sender",
        "        else:\n            sender = self.sender"),
    "acks are acked": (
        "acknowledgements_are_not_acknowledged", "_reliable", "        elif n == 5:",
        "        else:"),
    "a fixed timer of a second": (
        "losses_do_not_add_up", "_window", "self._timer + self.rtt.rto",
        "self._timer + 1000"),
    "nothing but a timer": (
        "a_little_loss_costs_little", "_window", "entry.order <= limit and", "False and"),
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
    for case in ALL.values():
        case(core)
    run(core, 300)


@pytest.mark.parametrize("what", MUTANTS)
def test_mutant_is_caught(what: str) -> None:
    core = mutated(*MUTANTS[what])
    with pytest.raises(Exception):  # noqa: B017, PT011 -- whatever is found
        find(core)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught_by_its_case(fault: str) -> None:
    case, *mutation = FAULTS[fault]
    ALL[case](None)
    with pytest.raises((AssertionError, RuntimeError)):
        ALL[case](mutated(*mutation))


def test_two_ends_without_randomness_are_caught() -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011
        run(None, 300, constant(0, 1))
