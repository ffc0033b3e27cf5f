"""Stacks that end below the messages, see stacks.py; for who needs such a one."""

from moat.micro.const import const
from moat.micro.stacks import ConfigError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# What a stack carries: the keys that are for layers above that.
_ABOVE = {
    "blocks": "msg reliable",
    "bytes": "blk framing limit msg reliable",
    "messages": "",
}


def check(cfg: "dict[str, Any]") -> None:
    """Check what the stack is to carry. ConfigError: there is a layer that does not fit."""
    carries = cfg["carries"]
    if not isinstance(carries, str) or carries not in _ABOVE:
        raise ConfigError("carries: %r is none of: %s" % (carries, ", ".join(sorted(_ABOVE))))
    log = cfg.get("log") or {}
    for key in _ABOVE[carries].split():
        if cfg.get(key) or (key in log and isinstance(log, dict)):
            raise ConfigError("%s: there is no such layer in a stack of %s" % (key, carries))
