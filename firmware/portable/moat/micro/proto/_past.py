"""What is left of the sessions of the reliable protocol that have ended."""

from moat.micro.const import const
from moat.micro.errors import LinkReset

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

    from moat.micro.proto._window import Receiver, Sender

# What has become of a message when its session has ended.
DELIVERED = "delivered"
UNKNOWN = "unknown"
NEVER_SENT = "never sent"


class Past:
    """The messages that were not read yet, and what has become of those that were sent."""

    def __init__(self) -> None:
        self.held = 0  # messages in here; they count against the window of later sessions
        self._left = []  # messages, and behind those of each session why it has ended
        self._lost = (0, 0, 0)  # of the last session: its Sender's first, sent_end, end

    def add(self, sender: "Sender", receiver: "Receiver", exc: LinkReset) -> None:
        """A session has ended. One of which nothing was received is told with the one before."""
        self._lost = (sender.first, sender.sent_end, sender.end)
        left = self._left
        if not receiver.ready and left:
            left.pop()
        self.held += len(receiver.ready)
        left += receiver.ready
        left.append(exc)

    def ready(self) -> bool:
        """True when `take` returns or raises something."""
        return len(self._left) > 0

    def take(self) -> "Any":
        """Return the next message. LinkReset: there is none any more of that session."""
        item = self._left.pop(0)
        if isinstance(item, LinkReset):
            raise item
        self.held -= 1
        return item

    def last(self) -> int:
        """The number of the last message that was accepted in the last session; -1: none was."""
        return self._lost[2] - 1

    def fate(self, number: int, ago: int = 1) -> str:
        """What has become of a message of the last session, or of the one so long ago."""
        if ago > 1:
            return UNKNOWN
        return fate(number, self._lost[0], self._lost[1])


def fate(number: int, first: int, sent_end: int) -> str:
    """What has become of a message; the session's Sender had got as far as `first`, `sent_end`."""
    if number < first:
        return DELIVERED
    return UNKNOWN if number < sent_end else NEVER_SENT
