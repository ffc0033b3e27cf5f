"""The config of a device while it is edited: dicts and lists of scalars, addressed by paths.

What stands under one of the names in `SECRETS`, however deep, can be written and not read: it
is read as `HIDDEN`. Writing that there leaves what was there before.

A change is made in a copy of what lies on the path to it. So one that is refused changes nothing.
"""

from msgpack import packb

from moat.micro.cmd._entries import SECRETS
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

HIDDEN = "***"

#: Bytes of the encoded config, at most: so that all of it fits into one message.
LIMIT = 4000

_DEPTH = const(12)
_DEEP = const("a config has at most 12 levels")


class Config:
    """A config; `data` is the whole of it, a dict.

    A path is a list of names and, where there is a list, of numbers. The methods raise

        LookupError    args: the index of the item in the path that does not exist, and what
                       exists there
        ValueError     the change cannot be made; nothing has changed
    """

    def __init__(self, data: "dict[str, Any] | None" = None) -> None:
        self.data: "dict[str, Any]" = data or {}

    def get(self, path: "Any" = ()) -> "Any":
        """Return a copy of what stands there, secrets hidden."""
        node = self.data
        for i, item in enumerate(path):
            node = _below(node, path, i)
            if item in SECRETS and node is not None:
                return HIDDEN  # not even what is below
        return _copy(node, 0)

    def set(self, path: "Any", value: "Any") -> None:
        """Put `value` there; dicts on the way that do not exist are made.

        An item of a list is replaced, or appended when its number is the list's length.
        """
        _check_path(path)
        if "" in path:
            raise ValueError("'' is no name: a text that is not empty")
        self._take(_put(self.data, path, 0, value))

    def delete(self, path: "Any") -> None:
        """Remove what stands there; later items of a list move up."""
        if not path:
            raise ValueError("which item? the path is empty")
        _check_path(path)
        node = self.data
        for i in range(len(path)):
            node = _below(node, path, i)
        self._take(_without(self.data, path, 0))

    def _take(self, data):
        if not isinstance(data, dict):
            raise ValueError("the config is a map")
        n = len(packb(data))
        if n > LIMIT:
            raise ValueError("the config would have %d bytes, at most %d" % (n, LIMIT))
        self.data = data


def _check_path(path):
    if len(path) > _DEPTH:
        raise ValueError(_DEEP)
    for item in path[:-1]:
        if item in SECRETS:
            raise ValueError("'%s' is a secret, it can be set as a whole only" % item)


def _names(node):
    """Return the items of a container; none of a scalar."""
    if isinstance(node, dict):
        return list(node)
    return list(range(len(node))) if isinstance(node, list) else []


def _has(node, item):
    if isinstance(node, dict):
        return item in node
    return isinstance(node, list) and type(item) is int and 0 <= item < len(node)


def _below(node, path, i):
    if _has(node, path[i]):
        return node[path[i]]
    raise LookupError(i, _names(node))


def _shallow(node):
    return dict(node) if isinstance(node, dict) else list(node)


def _put(node, path, i, value):
    """Return `node` with `value` at the rest of the path."""
    if i == len(path):
        secret = i > 0 and path[-1] in SECRETS
        return _merged(value, node, secret, i)
    item = path[i]
    if node is None:
        node = {}
    if _has(node, item):
        old = node[item]
    elif isinstance(node, list) and type(item) is int and item == len(node):
        node = node + [None]
        old = None
    elif isinstance(node, dict) and isinstance(item, str):
        old = None
    else:
        raise LookupError(i, _names(node))
    new: "Any" = _shallow(node)
    new[item] = _put(old, path, i + 1, value)
    return new


def _without(node, path, i):
    node = _shallow(node)
    item = path[i]
    if i == len(path) - 1:
        del node[item]
    else:
        node[item] = _without(node[item], path, i + 1)
    return node


def _copy(value, depth):
    """Return a copy with secrets hidden."""
    if isinstance(value, dict):
        return {
            k: HIDDEN if k in SECRETS and v is not None else _copy(v, depth + 1)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_copy(v, depth + 1) for v in value]
    return value


def _merged(new, old, secret, depth):
    """Return a checked copy of `new`, with the secrets of `old` where it has only HIDDEN."""
    if depth > _DEPTH:
        raise ValueError(_DEEP)
    if secret and isinstance(new, str) and new == HIDDEN:
        if old is None:
            raise ValueError("there is no secret yet that could be kept")
        return old
    if isinstance(new, dict):
        for k in new:
            if not isinstance(k, str) or not k:
                raise ValueError("%r is no name: a text that is not empty" % (k,))
        was = old if isinstance(old, dict) else {}
        return {k: _merged(v, was.get(k), k in SECRETS, depth + 1) for k, v in new.items()}
    if isinstance(new, (list, tuple)):
        # Which item is which, if there are more or fewer of them? Then nothing can be kept.
        was = old if isinstance(old, list) and len(old) == len(new) else [None] * len(new)
        return [_merged(v, was[i], False, depth + 1) for i, v in enumerate(new)]
    if new is None or isinstance(new, (bool, float, str, bytes)):
        return new
    if isinstance(new, int) and -(1 << 63) <= new < 1 << 64:
        return new
    raise ValueError("%r cannot stand in a config" % (new,))
