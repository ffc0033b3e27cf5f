"""The key of a link: what it may be, and random numbers for its proof."""

from moat.micro import rt
from moat.micro.cmd._auth import NO_3, NONCE_BYTES, Auth
from moat.micro.const import const
from moat.micro.stacks import ConfigError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

LEAST = 16  # bytes of a key

_ROUNDS = const(16)

_pool = b""


def auth(key: "str | bytes", server: bool = False) -> Auth:
    """Return what CmdMsg needs to have this key proved by both ends, or ConfigError.

    Args:
        key: bytes, or a text, which stands for its UTF-8; at least LEAST bytes.
        server: this end is the server. There has to be one at each link.
    """
    return Auth(secret(key), server, nonce)


def secret(key: "Any") -> bytes:
    """Return the bytes of a key. ConfigError: it is none, or too short; it is not shown."""
    data = key.encode() if isinstance(key, str) else key
    if not isinstance(data, bytes):
        raise ConfigError("key: a text is needed, or bytes, not %s" % type(key).__name__)
    if len(data) < LEAST:
        raise ConfigError("key: it has %d bytes, at least %d are needed" % (len(data), LEAST))
    return data


def nonce() -> bytes:
    """Return random bytes for the core, from the system where it has some."""
    try:
        from os import urandom

        data = urandom(NONCE_BYTES)
    except (ImportError, AttributeError):
        data = mixed(NONCE_BYTES)
    return bytes([b | NO_3 for b in data])


def mixed(n: int) -> bytes:
    """Return bytes made of clocks: they differ each time, but somebody close might guess them.

    Neither a repetition nor a guess gives away a key; see docs/security.md.
    """
    global _pool
    from hashlib import sha256

    from moat.micro.clock import unix_us

    for _ in range(_ROUNDS):
        now = "%d %d %d" % (rt.random_bits(), rt.ticks_us(), unix_us())
        _pool = sha256(_pool + now.encode()).digest()
    return sha256(b"nonce" + _pool).digest()[:n]
