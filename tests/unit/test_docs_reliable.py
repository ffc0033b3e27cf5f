"""docs/wire.md, the reliable session: its conversation is replayed, its tables compared."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from msgpack import packb, unpackb

from moat.micro.errors import LinkReset
from moat.micro.proto import _handshake
from moat.micro.proto._options import MAX_WINDOW, OVERHEAD, Options
from moat.micro.proto._reliable import ACK_MS, Reliable
from moat.micro.proto._window import RTO_FIRST, RTO_MAX, RTO_MIN
from tools.docs import blocks

ROOT = Path(__file__).parents[2]
WIRE = ROOT / "docs" / "wire.md"
RECORD = (ROOT / "docs/adr/0008-a-reliable-session.md").read_text(encoding="utf-8")
_ALL = WIRE.read_text(encoding="utf-8")
TEXT = _ALL.partition("## Messages: a reliable session")[2].partition("\n## ")[0]
KINDS = {"HELLO": _handshake._HELLO, "CHALLENGE": _handshake._CHALLENGE}
NONCES = {"host": [0x1A2B3C4D, 0x3C2D1E0F], "device": [0x0A1B2C3D, 0x2E3F0819]}
OTHER = {"host": "device", "device": "host"}
SENDER = {">": "host", "<": "device"}


class Replay:
    """Two ends that do what the document says, and compare."""

    def __init__(self) -> None:
        self.now = 0
        self.nonces = {name: iter(nonces) for name, nonces in NONCES.items()}
        self.ends = {name: self.fresh(name) for name in NONCES}
        self.frame: Any = None  # is to be received
        self.to = ""
        self.frames = 0

    def fresh(self, name: str) -> Reliable:
        return Reliable(Options(window=8), lambda: next(self.nonces[name]), self.now)

    def line(self, line: str) -> None:
        """Do what one line says."""
        if line.startswith("  ["):
            literal = re.sub("HELLO|CHALLENGE", lambda m: str(KINDS[m[0]]), line.strip())
            assert self.frame == ast.literal_eval(literal)
            return
        if line == "  lost":
            self.frame = None
        self.deliver()
        who, _, what = line.partition(" ")
        if who in SENDER:
            self.send(SENDER[who], bytes.fromhex(what))
        elif line != "  lost":
            self.act(who, *what.split())

    def deliver(self) -> None:
        if self.frame is not None:
            self.ends[self.to].receive(self.frame, self.now)
        self.frame = None

    def send(self, name: str, data: bytes) -> None:
        core = self.ends[name]
        frame = core.next(self.now)
        assert frame is not None
        assert packb(frame) == data
        core.taken(self.now)
        self.frame = unpackb(data)
        self.to = OTHER[name]
        self.frames += 1

    def is_silent(self) -> None:
        for core in self.ends.values():
            assert not core.pending(self.now)

    def tick(self, now: int) -> None:
        if self.frames:
            self.is_silent()
        for core in self.ends.values():
            assert core.deadline(self.now) >= now or core.ended
        self.now = now
        for core in self.ends.values():
            core.tick(now)

    def act(self, who: str, verb: str, what: str = "") -> None:
        if who == "at":
            self.tick(int(verb))
            return
        core = self.ends[who]
        if verb == "sends":
            core.sender.put(ast.literal_eval(what))
        elif verb == "leaves":
            core.close(self.now)
        elif verb == "starts":
            self.ends[who] = self.fresh(who)
        else:
            assert verb == "gets"
            error = {"EOFError": EOFError, "LinkReset": LinkReset}.get(what)
            if error:
                with pytest.raises(error):
                    core.take(self.now)
            else:
                assert core.take(self.now) == ast.literal_eval(what)


def test_conversation() -> None:
    replay = Replay()
    for line in blocks(WIRE, "reliable")["conversation"].splitlines():
        replay.line(line)
    replay.deliver()
    replay.is_silent()
    assert replay.frames > 20
    assert all(core.ended for core in replay.ends.values())


def test_the_example_of_a_tag() -> None:
    found = re.search(r"The tag of ([0-9a-f]+) and ([0-9a-f]+) is\s+([0-9a-f]+)\.", TEXT)
    assert found is not None
    sender, receiver, tag = (int(digits, 16) for digits in found.groups())
    assert _handshake._tag(sender, receiver) == tag


def test_figures() -> None:
    options = Options()
    for name in ("keepalive_ms", "silence_ms", "down_ms", "linger_ms"):
        assert f"`{name}` ({getattr(options, name)})" in TEXT
    assert f"1 to {MAX_WINDOW}" in TEXT
    assert f"ACK goes out {ACK_MS} ms after" in TEXT
    assert f"at least {RTO_MIN} ms" in TEXT
    assert f"at most {RTO_FIRST}," in TEXT
    assert f"up to {RTO_MAX // 1000} s" in TEXT
    assert f"The version is {_handshake.VERSION}." in TEXT
    assert f"{_handshake._HELLO_MS} ms, 200, 400, … {_handshake._HELLO_MAX_MS}" in TEXT
    assert (_handshake._MASK, _handshake._BITS) == (0x3FFFFFFF, 0x08080808)
    assert "`random & 3fffffff | 08080808`" in TEXT


@pytest.mark.parametrize(
    ("window", "count"), [(8, 1 << 64), (64, 1 << 32)], ids=["small", "large"]
)
def test_a_frame_is_not_much_longer_than_its_message(window: int, count: int) -> None:
    tag, last, bitmap = 0x3FFFFFFF, count - 1, (1 << (window - 1)) - 1
    frame = [tag, last, window, bitmap, last, "x"]
    assert len(packb(frame)) - len(packb("x")) == OVERHEAD
    assert f"at most {OVERHEAD} bytes longer" in RECORD


FAULTS = re.findall(r"^\| .+ \| `(\w+)` \| (\S+) \|$", RECORD, re.MULTILINE)


@pytest.mark.parametrize(("test", "file"), FAULTS)
def test_fault_has_its_test(test: str, file: str) -> None:
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_table_of_frames() -> None:
    rows = dict(re.findall(r"^\| ([A-Z]+) \| ([^|]+) \|$", TEXT, re.MULTILINE))
    lengths = {name: len(elements.split(",")) for name, elements in rows.items()}
    seen = set()
    for line in blocks(WIRE, "reliable")["conversation"].splitlines():
        if line[0] in SENDER:
            frame = unpackb(bytes.fromhex(line[1:]))
            names = [name for name, n in lengths.items() if n == len(frame)]
            if frame[0] == 0:
                names = [name for name, value in KINDS.items() if value == frame[1]]
                assert lengths[names[0]] == len(frame)
            seen |= set(names)
    assert seen | {"QUESTION"} == set(rows)
