"""The commands that every device has."""

import gc
import sys

from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd, load
from moat.micro.version import VERSION

__all__ = ("SysCmd",)


class SysCmd(BaseCmd):
    """About the device itself."""

    # The class of the rare commands. They are imported when one of them is first used.
    MORE = "moat.micro.app._sys:SysMore"

    def __getattr__(self, name):
        """Find a command among the rare ones."""
        if name == "_more":
            self._more = load(self.MORE)()
            return self._more
        if not name.startswith(("cmd_", "stream_")):
            raise AttributeError(name)
        return getattr(self._more, name)

    def names(self, prefix):
        """Return the names of our methods that start with `prefix`, without it."""
        return sorted(set(BaseCmd.names(self, prefix) + self._more.names(prefix)))

    async def cmd_ping(self, m=None):
        """Return `m`."""
        return m

    async def cmd_info(self):
        """Return what this device is, and what runs on it."""
        from moat.micro import serve
        from moat.micro.cmd._wire import VERSION as PROTOCOL

        gc.collect()
        return {
            "moat": VERSION,
            "protocol": PROTOCOL,
            "micropython": ".".join([str(n) for n in sys.implementation.version[:3]]),
            "board": sys.implementation._machine,
            "platform": sys.platform,
            "image": rt.IMAGE,
            "mem_free": gc.mem_free(),
            "mem_alloc": gc.mem_alloc(),
            "text_dropped": _ask("_port", "dropped"),
            "messages_skipped": serve.skipped(),
            "safe_mode": serve.safe_mode,
            "unique_id": _ask("machine", "unique_id"),
            "reset_cause": _ask("machine", "reset_cause"),
        }


def _ask(module, name):
    """Call a function of the board; None where there is none."""
    try:
        return getattr(__import__(module), name)()
    except (ImportError, AttributeError):
        return None
