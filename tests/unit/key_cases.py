"""Ends with keys, for tests: cores, and a line between them that an attacker may sit on."""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from itertools import count
from typing import Any

from msgpack import packb, unpackb

from moat.micro.cmd import _auth
from moat.micro.cmd._auth import FOR, NO_3, NONCE, PROOF
from moat.micro.cmd._request import Requests
from moat.micro.cmd._wire import DONE, HELLO
from moat.micro.errors import AuthError

KEY, OTHER_KEY = b"the key of this link", b"the key of another one"

_numbers = count(1)


def nonce() -> bytes:
    """Another one each time."""
    return bytes(b | NO_3 for b in (next(_numbers) << 4).to_bytes(16, "big"))


class End:
    """A core, with a key or without; `said` is what it has sent, `why` what has ended it."""

    def __init__(self, server: bool = False, key: bytes | None = KEY, module: Any = _auth):
        self.core = Requests(next(_numbers) << 12)
        self.auth: Any = None
        if key is not None:
            self.auth = module.Auth(key, server, nonce)
            self.auth.begin(self.core)
        self.said: list[Any] = []
        self.line: deque[Any] = deque()
        self.events: list[Any] = []
        self.why: AuthError | None = None
        self.core.out.append(self.core.hello())
        self.flush()

    @property
    def open(self) -> bool:
        return self.core.open

    @property
    def nonce(self) -> bytes:
        """The nonce of its last hello."""
        return [msg[5][NONCE] for msg in self.said if msg[0] == HELLO][-1]

    def flush(self) -> None:
        for msg in self.core.out:
            self.said.append(sent := unpackb(packb(msg), strict_map_key=False))
            self.line.append(deepcopy(sent))
        self.core.out.clear()

    def receive(self, msg: Any) -> Any:
        """Take a message; returns the event."""
        if self.why is not None:
            return None
        event = None
        try:
            event = self.core.receive(deepcopy(msg))
        except AuthError as exc:
            self.why = exc
            self.core.lost(True)
            if self.core.bye is not None:
                self.core.out.append(self.core.bye)
        if event is not None:
            self.events.append(event)
        self.flush()
        return event

    def reset(self) -> None:
        """The link below was replaced."""
        self.core.lost()
        self.line.clear()
        self.core.out.append(self.core.hello())
        self.flush()


def talk(one: End, other: End, steps: int = 50) -> None:
    """Deliver what they say until both are silent."""
    while one.line or other.line:
        steps -= 1
        assert steps, "they do not stop talking"
        for end, peer in ((one, other), (other, one)):
            if end.line:
                peer.receive(end.line.popleft())


def pair(**kw: Any) -> tuple[End, End]:
    """A client and a server with a session."""
    client, server = End(False, **kw), End(True, **kw)
    talk(client, server)
    assert client.open
    assert server.open
    return client, server


def changes() -> list[Any]:
    """Functions that change something in a hello."""
    found: list[Any] = []

    def number(at: int, bit: int) -> None:
        found.append(lambda msg: msg.__setitem__(at, msg[at] ^ 1 << bit))

    def feature(name: int, at: int, bit: int) -> None:
        def change(msg: Any) -> None:
            data = bytearray(msg[5][name])
            data[at] ^= 1 << bit
            msg[5][name] = bytes(data)

        found.append(change)

    for at, bits in ((1, 3), (2, 32), (3, 32), (4, 16)):
        for bit in range(bits):
            number(at, bit)
    for name, size in ((NONCE, 16), (FOR, 16), (PROOF, 32)):
        for at in range(size):
            for bit in range(8):
                feature(name, at, bit)
    values: list[Any] = [None, b"", bytes(32), bytes(16), "text", 0, [], {}]
    for name in (NONCE, PROOF, FOR):
        found.extend(lambda msg, n=name, v=value: msg[5].__setitem__(n, v) for value in values)
        found.append(lambda msg, n=name: msg[5].__setitem__(n, msg[5][n][:-1]))
        found.append(lambda msg, n=name: msg[5].__setitem__(n, msg[5][n] + b"\x08"))
    found.append(lambda msg: msg[5].pop(PROOF))
    found.append(lambda msg: msg[5].pop(FOR))
    found.append(lambda msg: msg[5].__setitem__(DONE, b"\x01"))
    found.append(lambda msg: msg[5].__setitem__(99, 1))
    found.append(lambda msg: msg[5].__setitem__("x", 1))
    found.append(lambda msg: msg[5].__setitem__(99, {}))
    found.append(lambda msg: msg.__setitem__(5, []))
    found.append(lambda msg: msg.__setitem__(5, None))
    return found
