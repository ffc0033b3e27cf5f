"""A node of the tree that leads to another device."""

from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const
from moat.micro.errors import CallNotRunError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class LinkCmd(BaseCmd):
    """Stands for the root of the peer at the other end of `cmd`, a CmdMsg, or None for now."""

    def __init__(self, cmd: "Any" = None) -> None:
        self.cmd = cmd

    def link(self) -> "Any":
        """Return the link that calls go to. CallNotRunError: there is nobody at its other end."""
        cmd = self.cmd
        if cmd is None or cmd.core is None or not cmd.core.open:
            raise CallNotRunError("this link is not connected")
        return cmd
