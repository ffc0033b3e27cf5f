"""The proof that both ends of a link know a key, without I/O. docs/wire.md has the format.

Each end puts a nonce into its hellos, and that of the peer once it knows it. The client also
adds its proof then; the server adds its own when it has checked that. A hello with a good proof
opens the session, any other one only tells who is there:

    client                    server
    HELLO nonce        -->
                       <--    HELLO nonce
    HELLO nonce, proof -->    open
    open               <--    HELLO nonce, proof
    HELLO nonce, proof -->    it has opened the session

The last one tells the server that the client has heard what became of its calls.
So who cannot prove the key gets no proof from a server, which he could try keys on at leisure.
Both proofs are of different kinds: one end's is of no use to prove anything to it. They cover
all that the hello says, the receiver's nonce as well, another one in each session: neither
serves a second time, nor for somebody else.
"""

from hashlib import sha256

from msgpack import packb

import moat.micro.errors as errors
from moat.micro.cmd._checks import natural, same
from moat.micro.cmd._wire import BYE, ID_BITS, VERSION
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

# Features, in a hello. Each byte has the bit NO_3 set: a hello may not contain the byte 3.
NONCE = 4
PROOF = 5
FOR = 6  # the receiver's nonce
NO_3 = 8

NONCE_BYTES = 16

LABEL = "moat-key-1"
KEY = 1  # in a BYE: the sender wants another key, or one at all

_BLOCK = const(64)  # bytes, of SHA-256


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Return the HMAC of RFC 2104 with SHA-256, 32 bytes."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    inner = sha256(bytes([b ^ 0x36 for b in key]))
    inner.update(data)
    outer = sha256(bytes([b ^ 0x5C for b in key]))
    outer.update(inner.digest())
    return outer.digest()


def equal(one: bytes, other: bytes) -> bool:
    """Whether these are the same; the time it takes does not tell where they differ."""
    if len(one) != len(other):
        return False
    differ = 0
    for i in range(len(one)):
        differ |= one[i] ^ other[i]
    return differ == 0


def proof(key: bytes, by_server: bool, hello: "list[Any]") -> bytes:
    """Return what the sender of this hello proves the key with.

    ValueError, TypeError: the hello is malformed.
    """
    features = hello[5]
    said: "list[Any]" = [LABEL, by_server]
    said.extend(hello[1:5])
    for name in sorted(features):
        if name != PROOF:
            if isinstance(features[name], (dict, list)):
                raise ValueError  # a map's order is not the same everywhere
            said.append(name)
            said.append(features[name])
    return bytes([b | NO_3 for b in hmac_sha256(key, packb(said))])


class Auth:
    """What one end of a link, a Requests, knows of the key's proofs.

    Args:
        key: see above.
        server: it proves the key only to who has. The other end has to be none.
        nonce: returns NONCE_BYTES random bytes with the bit NO_3 set, others each time.
    """

    def __init__(self, key: bytes, server: bool, nonce: "Callable[[], bytes]") -> None:
        self._key = key
        self._server = server
        self._draw = nonce
        self._core: "Any" = None

    def begin(self, core: "Any") -> None:
        """Belong to this core, which has said nothing yet."""
        self._core = core
        core.auth = self
        self._before: "Any" = None  # id of the last client, what it was told before its session
        self.renew()

    def renew(self) -> None:
        """There is no session: the next one begins with another nonce."""
        self._nonce: "Any" = None
        self._peer: "Any" = None  # id and nonce

    def hello(self, msg: "list[Any]") -> "list[Any]":
        """Return our hello with what belongs to the key."""
        if self._nonce is None:
            self._nonce = self._draw()
        told = msg[5]
        features = msg[5] = {NONCE: self._nonce}
        if self._peer is not None:
            msg[3], features[FOR] = self._peer
            if not self._server or self._core.open:
                features.update(told)
                features[PROOF] = proof(self._key, self._server, msg)
        return msg

    def met(self, msg: "list[Any]") -> "tuple[Any, ...] | None":
        """Take a hello, as Requests.met. AuthError: the peer has not our key, or none."""
        core = self._core
        ident, known = msg[2], msg[3]
        if msg[1] != VERSION:
            return core.met(msg)
        # Our own id: the line echoes.
        if ident != natural(ident) | ID_BITS or same(ident, core.own):
            raise ValueError
        natural(msg[4])
        features = msg[5] if len(msg) > 5 else {}
        if not isinstance(features, dict):
            raise ValueError
        nonce = features.get(NONCE)
        if nonce is None:
            raise self._no("the peer has no key for this link, and this end has")
        if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES or nonce == self._nonce:
            raise ValueError
        peer = ident, nonce
        knows_us = known == core.own and FOR in features and features[FOR] == self._nonce
        if PROOF in features and knows_us:
            return self._proved(msg, peer, features[PROOF])
        if knows_us and peer == self._peer:
            return None  # its proof comes next, or has come
        # Somebody is there: who it is has to be seen. Whoever was there has left.
        event = core.lost() if core.open else None
        self._peer = peer
        core.out.clear()
        core.out.append(core.hello())
        return event

    def _proved(self, msg, peer, what):
        core = self._core
        good = proof(self._key, not self._server, msg)
        if not isinstance(what, bytes) or not equal(what, good):
            raise self._no("the peer has another key for this link")
        if core.open:
            if peer != self._peer:
                raise ValueError
            core.forget()
            return None
        self._peer = peer
        before, outcomes = self._before, core.outcomes
        if outcomes is not None:
            # Its next id says that it had the session, so it has heard what was told before that.
            if before is not None and before[1] is outcomes.told and before[0] != peer[0]:
                core.forget()
            self._before = peer[0], outcomes.told
        event = core.met(msg)  # it answers
        if not self._server:
            core.forget()
        return event

    def _no(self, text):
        self._core.bye = [BYE, KEY]
        return errors.AuthError(text + ": give both the same one")
