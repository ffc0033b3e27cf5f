"""The app that is a channel with a device at its other end.

Its settings are those of app.link. The link is `peer` below it; the console beside the messages
can be read and written here. Everything else that is on the channel is the link's.
"""

from moat.micro.app.link import ClientLink
from moat.micro.app.port import PortCmd
from moat.micro.const import const
from moat.micro.errors import InUseError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class PeerPort(PortCmd):
    """A port that a link owns."""

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.peer = ClientLink(settings, ("peer",), self._begin)
        self._setup()

    def child(self, name: "Any") -> "Any":
        """See BaseCmd.child."""
        return self.peer if name == "peer" else None

    loaded = child

    def children(self) -> "list[Any]":
        """See BaseCmd.children."""
        return ["peer"]

    def is_link(self, name: "Any") -> bool:
        """See BaseCmd.is_link."""
        return name == "peer"

    def _need(self, *_kinds):
        raise InUseError("a link to a device reads and writes here; call that as 'peer'")

    async def run(self) -> None:
        """Keep the link. LinkError: it has ended for good."""
        self.peer.keeper = self.keeper
        try:
            await self.peer.run()
        finally:
            self._end()
