"""How two ends of the reliable protocol open a session, and notice that the peer starts anew.

Each end draws a random number, its nonce, for each session that it tries to open. The tag of a
session is made of both; all frames of the session carry it, so nothing that is left over from
an earlier one is ever taken. An end has opened when it sees its own nonce, or the tag, in a
frame: then the peer has answered to what was sent just now.

    state     kind       with             action
    opening   HELLO      my nonce         open
              HELLO      another          answer with a HELLO that has the peer's nonce
              CHALLENGE  my nonce         open
              CHALLENGE  another          -
              a tag      mine and peer's  open
    open      HELLO      both nonces      confirm, by a frame of the session
              HELLO      another          answer, or challenge, see below
              CHALLENGE  any              -
              a tag      of a challenge   replace the session by a new one

An end that is open and gets a HELLO from elsewhere cannot know whether the peer has started
anew or the HELLO is an old one. It asks, with a fresh nonce. Only a peer that is opening takes
a challenge; its first frame with the new tag is the proof. Whoever has opened says so with such
a frame, and asks for an answer until he gets one (`confirmed`).
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

VERSION = 1

NO_TAG = 0  # the first element of frames that belong to no session
_HELLO = 1
_CHALLENGE = 2

# What `receive` returns.
NOTHING, OPENED, REPLACED, CONFIRM, SKIPPED, REFUSED = 0, 1, 2, 3, 4, 5

_MASK = 0x3FFFFFFF  # small integers on 32-bit MicroPython
_BITS = 0x08080808  # no byte of a nonce is 3: see cmd._wire.ID_BITS

_HELLO_MS = 100  # between the first two hellos; then twice as long each time, up to
_HELLO_MAX_MS = 2000


class Handshake:
    """The state of one end.

    Args:
        random: gives 32 random bits.
        window: messages that this end takes; not 3.
        now: the time in ms.
    """

    def __init__(self, random: "Callable[[], int]", window: int, now: int) -> None:
        self.tag = -1  # of the session
        self.window = window
        self._random = random
        self.restart(now)

    def restart(self, now: int) -> None:
        """Forget the session and try to open another one."""
        self.is_open = False
        self.confirmed = False  # the peer has sent a frame of the session: it is open, too
        self.old_tag, self.tag = self.tag, -1
        self.peer_window = 0
        self._me = self._nonce()
        self._next_me = 0  # in a challenge
        self._peer = 0  # the last one that said hello
        self._challenged = 0
        self._due = self.said = now  # the last hello
        self._wait_ms = _HELLO_MS
        self._say = 0

    def _nonce(self):
        return self._random() & _MASK | _BITS

    # ---- what arrives

    def answers(self, tag: int) -> int:
        """Take the tag of a frame that is not of the session; returns what has happened."""
        if not self.is_open:
            if self._peer and tag == _tag(self._me, self._peer):
                self._open(self._me, self._peer)
                return OPENED
        elif self._next_me and tag == _tag(self._next_me, self._challenged):
            self.old_tag = self.tag
            self._open(self._next_me, self._challenged)
            return REPLACED
        return NOTHING

    def receive(self, frame: "Any") -> int:
        """Take a frame without a tag; returns what has happened.

        TypeError: it is none of ours.
        """
        if len(frame) < 6:
            raise TypeError
        kind, version, peer, me, window = frame[1:6]
        if not isinstance(peer, int) or not isinstance(window, int) or window < 1:
            raise TypeError
        if peer == self._me or peer == self._next_me:
            return SKIPPED  # our own frames come back
        if version != VERSION:
            return REFUSED
        if kind == _CHALLENGE:
            if self.is_open or me != self._me:
                return SKIPPED
        elif kind != _HELLO:
            return SKIPPED
        if self.is_open:
            return self._hello_when_open(peer, me, window)
        self._peer = peer
        self.peer_window = window
        if me == self._me:
            self._open(me, peer)
            return OPENED
        self._say = _HELLO
        return NOTHING

    def _hello_when_open(self, peer, me, window):
        if peer == self._peer and me == self._me:
            return CONFIRM
        if peer == self._peer and not self.confirmed:
            self._say = _HELLO  # it has not heard the first one
        else:
            self._next_me = self._next_me or self._nonce()
            self._challenged = peer
            self.peer_window = window  # not needed any more for the session that is open
            self._say = _CHALLENGE
        return NOTHING

    def _open(self, me, peer):
        self.is_open = True
        self.confirmed = False
        self.tag = _tag(me, peer)
        self._me = me
        self._peer = peer
        self._next_me = 0
        self._say = 0

    @property
    def second(self) -> bool:
        """True at one of the two ends, while open."""
        return self._me > self._peer

    # ---- what is to be sent

    def hurry(self, now: int) -> None:
        """Say hello now, unless that was only just done."""
        if self._wait_ms > _HELLO_MS:
            self._due = now
            self._wait_ms = _HELLO_MS

    @property
    def deadline(self) -> int:
        """When the next hello is due, while not open."""
        return self._due

    def next(self, now: int) -> "list[Any] | None":
        """Return the frame to be sent now, or None."""
        if not self.is_open and now >= self._due:
            self._due = now + self._wait_ms
            self._wait_ms = min(2 * self._wait_ms, _HELLO_MAX_MS)
            self._say = _HELLO
        say, self._say = self._say, 0
        if say:
            self.said = now
        if say == _HELLO:
            return [NO_TAG, _HELLO, VERSION, self._me, self._peer, self.window]
        if say == _CHALLENGE:
            return [NO_TAG, _CHALLENGE, VERSION, self._next_me, self._challenged, self.window]
        return None


def _tag(a, b):
    """Mix two nonces; the same for both ends, never 0."""
    return ((a ^ b) * 0x9E3779B1 + (a & b) * 0x85EBCA6B >> 1) & _MASK or 1
