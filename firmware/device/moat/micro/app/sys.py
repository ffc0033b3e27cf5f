"""The commands that every device has."""

import gc
import sys

from moat.micro import serve
from moat.micro.cmd._wire import VERSION as PROTOCOL
from moat.micro.cmd.tree import BaseCmd
from moat.micro.version import VERSION


class SysCmd(BaseCmd):
    """About the device itself."""

    async def cmd_ping(self, m=None):
        """Return `m`."""
        return m

    async def cmd_info(self):
        """Return what this device is, and what runs on it."""
        gc.collect()
        return {
            "moat": VERSION,
            "protocol": PROTOCOL,
            "micropython": ".".join([str(n) for n in sys.implementation.version[:3]]),
            "board": sys.implementation._machine,
            "platform": sys.platform,
            "mem_free": gc.mem_free(),
            "mem_alloc": gc.mem_alloc(),
            "text_dropped": _text_dropped(),
            "messages_skipped": serve.skipped(),
            "safe_mode": serve.safe_mode,
            "unique_id": _machine("unique_id"),
            "reset_cause": _machine("reset_cause"),
        }


def _text_dropped():
    """Bytes that were printed while the host did not read; None where nobody counts them."""
    try:
        from _port import dropped
    except ImportError:
        return None
    return dropped()


def _machine(name):
    """Ask the hardware; None where it does not tell."""
    try:
        import machine

        return getattr(machine, name)()
    except (ImportError, AttributeError):
        return None
