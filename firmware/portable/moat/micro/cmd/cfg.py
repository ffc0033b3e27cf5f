"""The app `cfg`: reads and writes the config of a device.

`set` and `delete` change a copy that all callers share. `save` writes it to the file, and has
the apps whose sections are new started anew; `load` forgets what was not saved.
"""

from moat.micro import rt
from moat.micro.cmd._config import Config
from moat.micro.cmd._entries import parse
from moat.micro.cmd.path import dotted, missing
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Awaitable, Callable
    from typing import Any


class CfgCmd(BaseCmd):
    """The config by path: a list of names and, where there is a list, numbers.

    Passwords and the like (_config.SECRETS) read as "***"; to set that leaves them as they are.

    Args:
        file: a ConfigFile.
        apply: async function that gets the entries that were saved, and returns True when they
            are in force, False when the device has to be started anew for that.
        reserved: names that apps cannot have.
    """

    def __init__(
        self,
        file: "Any",
        apply: "Callable[[dict[Any, Any]], Awaitable[bool]]",
        reserved: "tuple[str, ...]" = (),
    ) -> None:
        self._file = file
        self._apply = apply
        self._reserved = reserved
        self._lock = rt.Lock()
        try:
            self._config = Config(file.load())
        except ValueError:  # it is damaged; a new one can be written
            self._config = Config()

    async def cmd_get(self, path: "Any" = ()) -> "Any":
        """Return what stands at `path`, by default everything."""
        return _found(self._config.get, path)

    async def cmd_set(self, path: "Any", value: "Any") -> None:
        """Put `value` at `path`; levels that do not exist are made."""
        _found(self._config.set, path, value)

    async def cmd_delete(self, path: "Any") -> None:
        """Remove what stands at `path`."""
        _found(self._config.delete, path)

    async def cmd_save(self) -> bool:
        """Write the config; returns False when it is in force only after a new start.

        ValueError: it makes no sense, nothing was written.
        """
        data = self._config.data
        entries = parse(data, "", self._reserved)
        async with self._lock:  # the apps get one config after the other
            self._file.save(data)
            return await self._apply(entries)

    async def cmd_load(self) -> None:
        """Forget what was not saved. ValueError: the file is damaged."""
        self._config = Config(self._file.load())


def _found(fn, path, *args):
    if not isinstance(path, (list, tuple)):
        raise ValueError("a path is a list, not %r" % (path,))
    for item in path:
        if not isinstance(item, (str, int)):
            raise ValueError("a path has names and numbers, not %r" % (item,))
    try:
        return fn(path, *args)
    except LookupError as exc:
        i, exists = exc.args
        raise missing(path[i], dotted(path[:i]), exists)
