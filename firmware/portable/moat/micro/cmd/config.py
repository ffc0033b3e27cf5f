"""The file that a config is kept in: MessagePack, one map.

It is written beside the old one and then takes that one's name. So whenever the power fails,
the old or the new one is there. Where a file system cannot do that in one step (FAT), there may
be only the new file, complete: it is taken then.
"""

import errno
import os

from msgpack import packb, unpackb

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

NEW = ".new"
BAD = ".bad"

_ENOSPC = const(28)  # MicroPython's errno does not have it


class ConfigFile:
    """The file `path`. One that cannot be read is kept as `path` + BAD when it is replaced."""

    def __init__(self, path: str) -> None:
        self.path = path

    def load(self) -> "dict[str, Any]":
        """Return the config; an empty one when there is none.

        ValueError: the file is damaged. OSError: it cannot be read.
        """
        data = _read(self.path)
        if data is not None:
            return _decode(data)
        data = _read(self.path + NEW)
        if data is None:
            return {}
        try:
            cfg = _decode(data)
        except ValueError:  # the very first one was not written to its end
            return {}
        os.rename(self.path + NEW, self.path)
        return cfg

    def save(self, cfg: "dict[str, Any]") -> None:
        """Write the config. OSError: it cannot be written, and the old one is still there."""
        data = packb(cfg)
        old = _read(self.path)
        if old == data:
            return
        with open(self.path + NEW, "wb") as file:
            if file.write(data) != len(data):
                raise OSError(_ENOSPC, "the disk is full")
            _sync(file)
        if old is not None:
            try:
                _decode(old)
            except ValueError:
                os.rename(self.path, self.path + BAD)
        os.rename(self.path + NEW, self.path)


def _decode(data):
    try:
        cfg = unpackb(data)
    except (ValueError, TypeError) as exc:
        raise ValueError("the config file is damaged: %s" % exc)
    if not isinstance(cfg, dict):
        raise ValueError("the config file is damaged: it is no map")
    return cfg


def _read(path):
    """Return the bytes of a file; None when it does not exist."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            return None
        raise


def _sync(file):
    """See to it that the data are on the disk before the new name is."""
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())
    elif hasattr(os, "sync"):
        os.sync()
