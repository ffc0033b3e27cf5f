"""A peer of the reliable protocol, small and slow, made from docs/wire.md and nothing else.

It has a window of 4, and at most one message of its own under way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WINDOW = 4
HELLO, CHALLENGE = 1, 2
AGAIN_MS = 150
KEEPALIVE_MS = 5000


def bits(n: int) -> int:
    return n & 0x3FFFFFFF | 0x08080808


def tag(s: int, r: int) -> int:
    return bits((s * 0x9E3779B1 + (r ^ (s >> 7)) * 0x85EBCA6B) >> 3)


class Peer:
    """One end: give it frames, and send what `poll` returns."""

    def __init__(self, random: Callable[[], int]) -> None:
        self.random = random
        self.queue: list[Any] = []  # to be sent
        self.received: list[Any] = []
        self.sessions = 0  # that have ended
        self.ended = self.leaving = False
        self.out: list[Any] = []  # answers
        self.me = bits(self.random())
        self.peer = self.second = self.challenged = 0
        self.open = self.confirmed = False
        self.hello_at, self.wait = 0, 100
        self.begin()

    def begin(self) -> None:
        self.next = self.acked = self.edge = 0
        self.early: dict[int, Any] = {}
        self.at: int | None = None  # when something has to be said again
        self.quiet_since: int | None = None

    # ---- what arrives

    def receive(self, frame: list[Any], now: int) -> None:
        if frame[0] == 0:
            self.control(frame, now)
            return
        if frame[0] != tag(self.peer, self.me) or not self.peer:
            if self.second and frame[0] == tag(self.challenged, self.second):
                if self.confirmed:
                    self.sessions += 1
                    self.queue.clear()
                self.accept(self.second, self.challenged, 0)
            else:
                return
        elif not self.open:
            self.accept(self.me, self.peer, self.edge)
        self.confirmed = True
        self.quiet_since = now
        if len(frame) == 2:
            if not self.ended:
                self.out.append([tag(self.me, self.peer), self.acked])
            self.ended = True
        else:
            self.session(frame, now)

    def control(self, frame: list[Any], now: int) -> None:
        kind, _version, peer, me, _window, room = frame[1:7]
        if peer in (self.me, self.second):
            return  # an echo
        if not self.open:
            if kind == HELLO:
                self.peer, self.edge = peer, room
            if me == self.me:
                self.accept(me, peer, room)
            elif kind == HELLO:
                self.out.append(self.hello())
        elif kind == HELLO and (peer, me) == (self.peer, self.me):
            self.out.append(self.ack())
        elif kind == HELLO and peer == self.peer and not self.confirmed:
            self.out.append(self.hello())
        elif kind == HELLO:
            self.second = self.second or bits(self.random())
            self.challenged = peer
            self.out.append([0, CHALLENGE, 1, self.second, peer, WINDOW, 0])

    def accept(self, me: int, peer: int, room: int) -> None:
        self.begin()
        self.me, self.peer, self.edge = me, peer, room
        self.second = 0
        self.open, self.confirmed = True, False
        self.out.append(self.ack())

    def session(self, frame: list[Any], now: int) -> None:
        _tag, first, room = frame[:3]
        if first > self.acked:  # at most one is under way
            del self.queue[0]
            self.acked += 1
            self.at = None
        self.edge = max(self.edge, first + room)
        if len(frame) > 5:
            if frame[4] >= self.next:
                self.early[frame[4]] = frame[5]
            while self.next in self.early:
                self.received.append(self.early.pop(self.next))
                self.next += 1
        if len(frame) > 4:
            self.out.append(self.ack())

    # ---- what is sent

    def hello(self) -> list[Any]:
        return [0, HELLO, 1, self.me, self.peer, WINDOW, WINDOW]

    def ack(self) -> list[Any]:
        bitmap = sum(1 << (n - self.next - 1) for n in self.early)
        return [tag(self.me, self.peer), self.next, WINDOW, bitmap]

    def poll(self, now: int) -> list[list[Any]]:
        """The frames to be sent now."""
        out, self.out = self.out, []
        if self.ended:
            return out
        if not self.open:
            if now >= self.hello_at:
                out.append(self.hello())
                self.hello_at, self.wait = now + self.wait, min(2 * self.wait, 2000)
        elif self.at is None or now >= self.at:
            out += self.say(now)
        return out

    def say(self, now: int) -> list[list[Any]]:
        self.at = now + AGAIN_MS
        if self.confirmed and self.queue and self.acked < self.edge:
            return [[*self.ack(), self.acked, self.queue[0]]]
        if self.confirmed and not self.queue:
            if self.leaving:
                return [[tag(self.me, self.peer), self.acked]]
            if self.quiet_since is None or now - self.quiet_since < KEEPALIVE_MS:
                self.at = None
                return []
        return [[*self.ack(), 0]]
