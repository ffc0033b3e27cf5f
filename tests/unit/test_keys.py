"""Keys: the core of the proof, and what an attacker cannot do."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.micro.cmd import _auth
from moat.micro.cmd._auth import FOR, NONCE, PROOF, equal, hmac_sha256, proof
from moat.micro.cmd._request import REFUSED
from moat.micro.cmd._wire import HELLO, VERSION
from tests.unit.key_cases import KEY, End, pair, talk
from tests.unit.key_stories import STORIES, STRANGER

# RFC 4231, without the test of a truncated output: key, data, HMAC-SHA-256.
VECTORS = [
    (b"\x0b" * 20, b"Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50,
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50,
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    (b"\xaa" * 131,
     (b"This is a test using a larger than block-size key and a larger than block-size data. The "
      b"key needs to be hashed before being used by the HMAC algorithm."),
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "data", "expected"), VECTORS)
def test_the_vectors_of_rfc_4231(key: bytes, data: bytes, expected: str):
    assert hmac_sha256(key, data).hex() == expected


@given(st.binary(max_size=200), st.binary(max_size=500))
def test_it_is_the_hmac_of_python(key: bytes, data: bytes):
    assert hmac_sha256(key, data) == hmac.digest(key, data, hashlib.sha256)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_equal_is_the_same_as_for_bytes(one: bytes, other: bytes):
    assert equal(one, one)
    assert equal(one, other) == (one == other)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story(story: Callable[[Any], None]):
    story(_auth)


FEATURES = st.dictionaries(
    st.integers(7, 99), st.none() | st.integers(0, 1 << 32) | st.binary() | st.text(), max_size=3
)
ARGS = st.tuples(
    st.booleans(), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1), FEATURES, st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
)  # fmt: skip


@given(ARGS, ARGS)
def test_two_different_hellos_have_different_proofs(one: Any, other: Any):
    def made(args: Any) -> bytes:
        by_server, own, peer, limit, features, mine, yours = args
        features = {**features, NONCE: mine, FOR: yours}
        return proof(KEY, by_server, [HELLO, VERSION, own, peer, limit, features])

    assert made(one) == made(one)
    assert (made(one) == made(other)) == (one == other)


def test_the_order_of_the_features_does_not_matter():
    hello = [HELLO, VERSION, 1, 2, 3, {NONCE: b"n", 1: b"x", 9: 1}]
    turned = [*hello[:5], dict(reversed(hello[5].items())) | {PROOF: b"whatever"}]
    assert proof(KEY, False, hello) == proof(KEY, False, turned)


def test_another_version_is_refused_ahead_of_keys():
    for is_server in (False, True):
        end = End(is_server)
        event = end.receive([HELLO, VERSION + 1, STRANGER, None, 4096, {}])
        assert event is not None
        assert event[0] == REFUSED
        assert "version" in str(event[3])
        assert not end.open


# ---- in any order, with whatever was said before


@given(st.data())
def test_two_ends_open_in_whatever_order_they_are_heard(data: Any):
    ends = End(False), End(True)
    for _ in range(30):
        side = data.draw(st.sampled_from([0, 1]))
        what = data.draw(st.sampled_from(["hear", "hear", "hear", "reset"]))
        if what == "reset" and data.draw(st.integers(0, 3)) == 0:
            ends[side].reset()
            ends[1 - side].line.clear()
        elif ends[1 - side].line:
            ends[side].receive(ends[1 - side].line.popleft())
    for end in ends:  # what was lost with a break is made good by another one
        end.line.clear()
        end.reset()
    talk(*ends)
    assert [end.why for end in ends] == [None, None]
    assert ends[0].open
    assert ends[1].open


RECORDED = [msg for _ in range(3) for end in pair() for msg in end.said]


@given(st.data())
def test_who_has_no_key_opens_nothing(data: Any):
    """He has recordings, hears what the ends say, and may change and repeat all of it."""
    ends = [End(False), End(True), End(False), End(True)]
    heard = list(RECORDED)
    for end in ends:
        heard += end.said
    for _ in range(25):
        end = _one(data, ends)
        msg = list(_one(data, heard))
        if msg[0] == HELLO:
            other = _one(data, heard)
            if other[0] == HELLO:
                part = data.draw(st.sampled_from([0, 2, 4, 5]))
                msg[part] = other[part]
                if data.draw(st.booleans()):
                    name = data.draw(st.sampled_from([NONCE, PROOF, FOR]))
                    msg[5] = dict(msg[5])
                    if name in other[5]:
                        msg[5][name] = other[5][name]
            msg[3] = _one(data, [None, end.core.own, msg[3]])
            if data.draw(st.booleans()):
                msg[5] = {**msg[5], FOR: end.nonce}
        said = len(end.said)
        # Passing on everything between two of them unchanged is not to be prevented.
        if msg[0] == HELLO and PROOF in msg[5] and _is_relayed(msg, end, ends):
            continue
        end.receive(msg)
        heard += end.said[said:]
        assert not end.open
        end.why = None  # he comes again


def _one(data: Any, items: list[Any]) -> Any:
    """One of these, which are others in each run."""
    return items[data.draw(st.integers(0, 999)) % len(items)]


def _is_relayed(msg: Any, end: End, ends: list[End]) -> bool:
    return any(msg in other.said for other in ends if other is not end)


# ---- mutants

_LET_IN = "            return core.met(msg)\n"
MUTANTS = {
    "every proof is good": ("    return differ == 0\n", "    return True\n"),
    "a part of the proof is enough": ("range(len(one))", "range(8)"),
    "no role": ("[LABEL, by_server]", "[LABEL]"),
    "no version, no ids": ("hello[1:5]", "hello[4:5]"),
    "no id of the sender": ("hello[1:5]", "[hello[1], hello[3], hello[4]]"),
    "no limit": ("hello[1:5]", "hello[1:4]"),
    "no nonce of the receiver": ("and features[FOR] == self._nonce", ""),
    "the receiver's nonce is not covered": ("if name != PROOF:", "if name not in (PROOF, FOR):"),
    "the sender's nonce is not covered": ("if name != PROOF:", "if name not in (PROOF, NONCE):"),
    "no features": ("if name != PROOF:", "if False:"),
    "no names of features": ("            said.append(name)\n", ""),
    "no key": ("hmac_sha256(key, packb", 'hmac_sha256(b"", packb'),
    "the same nonce again": (
        'self._nonce: "Any" = None', 'self._nonce = self.__dict__.get("_nonce")'),
    "the server proves first": ("if not self._server or self._core.open:", "if True:"),
    "an echo is met": ("or nonce == self._nonce:", "or False:"),
    "who has no key is let in": ("if nonce is None:", "if nonce is None:\n" + _LET_IN),
    "a wrong proof is as good as none": (
        "not equal(what, good):", "not equal(what, good):\n            return None"),
    "an unproved hello opens": (
        "        # Somebody is there:", "        if True:\n" + _LET_IN + "        #"),
    "a hello fills the queue": ("        core.out.clear()\n", ""),
    "nobody else is let in": ("event = core.lost() if core.open else None", "event = None"),
    "what is told is forgotten": ("if not self._server:", "if True:"),
    "what is out of date is told": ("and before[0] != peer[0]", "and False"),
    "what is told is told again": (
        "            core.forget()\n            return None\n", "            return None\n"),
    "what is told to anybody": ("features = msg[5] = {", "features = msg[5] = {**told, "),
    "no bye": ("        self._core.bye = [BYE, KEY]\n", ""),
    "the byte 3": ("[b | NO_3 for b in", "[b for b in"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant(name: str):
    right, wrong = MUTANTS[name]
    path = Path(str(_auth.__file__))
    source = path.read_text(encoding="utf-8")
    assert source.count(right) == 1, f"{right!r}: {source.count(right)} times"
    module = ModuleType("mutant")
    exec(compile(source.replace(right, wrong), str(path), "exec"), module.__dict__)  # noqa: S102
    found = 0
    for story in STORIES:
        try:
            story(module)
        except Exception:
            found += 1
    assert found, "no story notices that"
