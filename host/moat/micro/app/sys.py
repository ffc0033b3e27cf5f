"""The commands that every host has."""

from __future__ import annotations

import platform
import socket
import sys
from typing import Any

from moat.micro.app.common import CommonCmd
from moat.micro.cmd._wire import VERSION as PROTOCOL
from moat.micro.version import VERSION

__all__ = ["SysCmd"]


class SysCmd(CommonCmd):
    """About the host itself."""

    async def cmd_ping(self, m: Any = None) -> Any:
        """Return `m`."""
        return m

    async def cmd_info(self) -> dict[str, Any]:
        """Return what this host is, and what runs on it."""
        return {
            "moat": VERSION,
            "protocol": PROTOCOL,
            "python": platform.python_version(),
            "board": socket.gethostname(),
            "platform": sys.platform,
            "image": None,
        }
