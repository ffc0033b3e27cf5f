"""docs/wire.md, the keys: the example is what real ends say, and its proof what others compute."""

from __future__ import annotations

import hmac

import anyio
import pytest
from msgpack import unpackb

from moat.micro import rt
from moat.micro.cmd import _auth
from tests.unit.test_docs_requests import (
    DEVICE_ID,
    HOST_ID,
    TEXT,
    WIRE,
    Line,
    Sent,
    caller,
    device,
    documented,
)
from tools.docs import blocks

KEY, KEYED = b"the key of this link", "session with a key"


async def test_key(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter([DEVICE_ID, HOST_ID])
    monkeypatch.setattr(rt, "random_bits", lambda: next(ids))
    log: Sent = []
    line = Line(log)
    nonces = [bytes(range(first, 0x100, 16)) for first in (8, 15)]
    client = _auth.Auth(KEY, False, lambda: nonces[0])
    server = _auth.Auth(KEY, True, lambda: nonces[1])
    async with device(line, "device", line.tree(), "host", server), caller(line, client) as host:
        await host.ready()
        await anyio.wait_all_tasks_blocked()
        assert log == documented(KEYED)


def test_the_proof_of_the_example() -> None:
    """Made without our own code."""
    array = bytes.fromhex(blocks(WIRE, "array")["key"])
    hello = unpackb(documented(KEYED)[2][1][1:], strict_map_key=False)
    digest = hmac.digest(KEY, array, "sha256")
    assert hello[5].pop(_auth.PROOF) == bytes(b | 8 for b in digest)
    features = [x for item in sorted(hello[5].items()) for x in item]
    assert unpackb(array) == ["moat-key-1", False, *hello[1:5], *features]


def test_the_figures() -> None:
    assert f"a bin of {_auth.NONCE_BYTES} random bytes" in TEXT
    assert f"the text `{_auth.LABEL}`" in TEXT
    assert f"a BYE whose reason is {_auth.KEY}" in " ".join(TEXT.split())
    assert f"the bit `{_auth.NO_3:02}` is set" in TEXT
