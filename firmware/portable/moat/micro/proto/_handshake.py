"""How two ends of the reliable protocol open a session, and notice that the peer starts anew.

Each end draws a random number, its nonce, for each session that it tries to open. The two tags
of a session, one for each direction, are made of both; all its frames carry one, so nothing
that is left over from an earlier session is ever taken, nor an echo. An end has opened when it
sees its own nonce, or the tag, in a frame: then the peer has answered to what was sent just now.

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
a frame, and asks for an answer until he gets one (`confirmed`). Until then nothing is sent or
received in the session, so its end is no loss.

Frames that are very late may still take the two ends to different sessions. Each of them then
sees frames of the other one, and gets no answers in its own: that one it gives up.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

VERSION = 1

NO_TAG = 0  # the first element of frames that belong to no session
_HELLO = const(1)
_CHALLENGE = const(2)

# What `receive` returns.
NOTHING, OPENED, REPLACED, CONFIRM, SKIPPED, REFUSED = 0, 1, 2, 3, 4, 5

_MASK = const(0x3FFFFFFF)  # small integers on 32-bit MicroPython
_BITS = const(0x08080808)  # no byte of a nonce or a tag is 3: see cmd._wire.ID_BITS
_ETX = const(3)
_NOBODY: "Any" = object()  # equal to nothing that arrives

_HELLO_MS = const(100)  # between the first two hellos; then twice as long each time, up to
_HELLO_MAX_MS = const(2000)


class Handshake:
    """The state of one end.

    Args:
        random: gives 32 random bits.
        window: messages that may be under way to this end.
        now: the time in ms.
    """

    def __init__(self, random: "Callable[[], int]", window: int, now: int) -> None:
        self.tag = self.out_tag = _NOBODY  # of the session's frames: those of the peer, and ours
        self.room = window  # messages that this end takes at the beginning
        self._window = window
        self._random = random
        self.restart(now)

    def restart(self, now: int) -> None:
        """Forget the session and try to open another one."""
        self.is_open = False
        self.confirmed = False  # the peer has sent a frame of the session: it is open, too
        self.old_tag = self.tag
        self.old_out_tag = self.out_tag
        self.tag = self.out_tag = _NOBODY
        self.peer_window = self.peer_room = 0
        self._me = self._nonce()
        self._peer = 0  # the last one that said hello
        self._next_me = 0  # in a challenge
        self._challenged = 0
        self.due = now  # the next hello, while not open
        self.said = now - _HELLO_MS  # the last one
        self._wait_ms = _HELLO_MS
        self._say = 0

    def _nonce(self):
        return self._random() & _MASK | _BITS

    # ---- what arrives

    def answers(self, tag: int) -> int:
        """Take the tag of a frame that is not of the session; returns what has happened."""
        if not self.is_open:
            if self._peer and tag == _tag(self._peer, self._me):
                self._open(self._me, self._peer)
                return OPENED
        elif self._next_me and tag == _tag(self._challenged, self._next_me):
            what = REPLACED if self.confirmed else OPENED
            self.old_tag = self.tag
            self.old_out_tag = self.out_tag
            self._open(self._next_me, self._challenged)
            return what
        return NOTHING

    def receive(self, frame: "Any") -> int:
        """Take a frame without a tag; returns what has happened.

        TypeError, IndexError: it is none of ours.
        """
        if frame[1] == _HELLO and frame[2] != VERSION:
            return REFUSED
        if len(frame) < 7 or frame[2] != VERSION:
            raise TypeError
        kind, _version, peer, me, window, room = frame[1:7]
        if not isinstance(peer, int) or window | 0 < 1 or room | 0 < 0:
            raise TypeError
        if peer == self._me or peer == self._next_me:
            return SKIPPED  # our own frames come back
        if kind == _CHALLENGE:
            if self.is_open or me != self._me:
                return SKIPPED
        elif kind != _HELLO:
            return SKIPPED
        if self.is_open:
            return self._hello_when_open(peer, me, window, room)
        self._peer = peer
        self.peer_window = window
        self.peer_room = room
        if me == self._me:
            self._open(me, peer)
            return OPENED
        self._say = _HELLO
        return NOTHING

    def _hello_when_open(self, peer, me, window, room):
        if peer == self._peer and me == self._me:
            return CONFIRM
        if peer == self._peer and not self.confirmed:
            self._say = _HELLO  # it has not heard the first one
        else:
            self._next_me = self._next_me or self._nonce()
            self._challenged = peer
            self.peer_window = window  # not needed any more for the session that is open
            self.peer_room = room
            self._say = _CHALLENGE
        return NOTHING

    def _open(self, me, peer):
        self.is_open = True
        self.confirmed = False
        self.tag = _tag(peer, me)
        self.out_tag = _tag(me, peer)
        self._me = me
        self._peer = peer
        self._next_me = 0
        self._say = 0

    def second(self) -> bool:
        """True at one of the two ends, while open."""
        return self._me > self._peer

    # ---- what is to be sent

    def hurry(self, now: int) -> None:
        """Say hello now, unless that was only just done."""
        self._wait_ms = _HELLO_MS
        self.due = min(self.due, max(now, self.said + _HELLO_MS))

    def pending(self, now: int) -> bool:
        """True when `next` has something."""
        return self._say != 0 or (not self.is_open and now >= self.due)

    def next(self, now: int) -> "list[Any] | None":
        """Return the frame to be sent now, or None."""
        say, self._say = self._say, 0
        if not self.is_open and now >= self.due:
            self.due = now + self._wait_ms
            self._wait_ms = min(2 * self._wait_ms, _HELLO_MAX_MS)
            say = _HELLO
        if not say:
            return None
        self.said = now
        if say == _CHALLENGE:
            # The session that is open may still fill the room that there is.
            return [NO_TAG, say, VERSION, self._next_me, self._challenged, self._window, 0]
        return self.hello()

    def hello(self) -> "list[Any]":
        """Return a hello."""
        room = self.room
        room -= room == _ETX
        return [NO_TAG, _HELLO, VERSION, self._me, self._peer, self._window, room]

    def farewell(self, end: int) -> "list[Any] | None":
        """Return a BYE that ends the session; None when the peer cannot be in one with us.

        The BYE that answers it is not answered.

        Args:
            end: how many messages were sent.
        """
        if self.is_open:
            self.tag = _NOBODY
            return [self.out_tag, end]
        if self._peer:  # it may have opened by what we said
            return [_tag(self._me, self._peer), 0]
        return None


def _tag(sender, receiver):
    """Mix two nonces; another one for the way back, so that an echo is not taken."""
    return (sender * 0x9E3779B1 + (receiver ^ sender >> 7) * 0x85EBCA6B >> 3) & _MASK | _BITS
