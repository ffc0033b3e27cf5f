"""Exactly once and in order, over a link that loses, repeats, reorders and delays messages.

The state of one end, without I/O and without a clock. Frames are lists; what damages them is
taken for loss, a checksum below sees to that. docs/wire.md has the format.

    opening     _handshake; messages are accepted and wait
    open        data flows
    closing     no more messages are accepted; those under way are delivered, then a BYE
    ended       for good, `ended` says why

A session ends when the peer starts anew or takes leave, breaks the protocol, or is silent for
too long; then the next one is opened, or all is ended (`Options.persistent`).

Times are milliseconds of a clock that only rises, as whole numbers.
"""

from moat.micro.const import const
from moat.micro.errors import LinkLost, LinkReset, ProtocolError
from moat.micro.proto._handshake import (
    CONFIRM,
    NO_TAG,
    NOTHING,
    OPENED,
    REFUSED,
    REPLACED,
    SKIPPED,
    VERSION,
    Handshake,
)
from moat.micro.proto._options import Options
from moat.micro.proto._window import Receiver, Rtt, Sender

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

OPENING, OPEN, CLOSING, ENDED = 0, 1, 2, 3

# What has become of a message when its session has ended.
DELIVERED = "delivered"
UNKNOWN = "unknown"
NEVER_SENT = "never sent"

ACK_MS = 20  # that an acknowledgement waits for a message to ride on


class Reliable:
    """One end.

    Feed `receive` with frames. Send what `next` returns whenever the link can take something,
    and call `taken` when it has. Call `tick` at `deadline`.

    Args:
        options: see there.
        random: gives 32 random bits.
        now: the time.
    """

    def __init__(self, options: Options, random: "Callable[[], int]", now: int) -> None:
        self.closing = False
        self.ended: "BaseException | None" = None  # why
        self.sessions = 0  # that have ended
        self.skipped = 0  # frames that made no sense, or belong to no session of ours
        self._options = options
        self._left: "list[Any]" = []  # what was not read of an ended session, and its end
        self._last_words: "list[Any] | None" = None
        self._busy_since: "int | None" = None  # the link has not taken the last frame
        self._handshake = Handshake(random, options.window, now)
        self._fresh(now)

    # ---- sessions

    def _fresh(self, now):
        """Begin with nothing sent and nothing received."""
        self.sender = Sender(self._options.queue, Rtt(ACK_MS))
        self.receiver = Receiver(self._options.window, ACK_MS)
        self._ping = False
        self._asks = 0  # pings that had no answer
        self._heard = self._asked = self._bye_at = self._close_at = now

    @property
    def state(self) -> int:
        """OPENING, OPEN, CLOSING or ENDED."""
        if self.ended is not None:
            return ENDED
        if self.closing:
            return CLOSING
        return OPEN if self._handshake.is_open else OPENING

    def _open(self, now):
        self._heard = self._asked = now
        window = self._handshake.peer_window
        self.sender.rtt.handshake(now - self._handshake.said)
        self.sender.open(min(self._options.window, window), window)
        self.receiver.ack_now(now)  # the peer shall know

    def _lose(self, exc, now):
        """The session has ended, another one begins; whoever waits gets `exc`."""
        if self.closing:
            self._end(exc)
            return
        self._lost = self.sender
        self.sessions += 1
        if not self._left:
            self._left = self.receiver.rest()
            self._left.append(exc)
        self._fresh(now)

    def _reset(self, why, now):
        self._lose(LinkReset(why), now)
        self._handshake.restart(now)

    def _give_up(self, exc, why, now):
        """The session has ended, and this end as well unless it is persistent."""
        if self._options.persistent:
            self._reset(why, now)
        else:
            self._end(exc)

    def _end(self, exc):
        if self.ended is None:
            self.ended = exc

    def close(self, now: int) -> None:
        """Deliver what was accepted, then take leave, for `linger_ms` at most."""
        if self.sender.end == 0 and not self._handshake.is_open:
            self._end(LinkLost("the link has been closed on this side"))
        self.closing = True
        self._close_at = now + self._options.linger_ms
        self._bye_at = now

    def farewell(self) -> "list[Any] | None":
        """End at once; returns the frame that tells the peer, if it has to be told."""
        frame = None
        if self.ended is None and self._handshake.is_open:
            frame = [self._handshake.tag, self.sender.end]
        self._end(LinkLost("the link has been closed on this side"))
        return frame

    def fate(self, session: int, number: int) -> "str | None":
        """What has become of a message: None while it may still be delivered.

        Args:
            session: `sessions` when it was accepted.
            number: what `sender.put` returned.
        """
        sender = self.sender if session == self.sessions else self._lost
        if session < self.sessions - 1:
            return UNKNOWN
        if number < sender.first:
            return DELIVERED
        if session == self.sessions and self.ended is None:
            return None
        return UNKNOWN if number < sender.sent_end else NEVER_SENT

    # ---- what arrives

    @property
    def ready(self) -> bool:
        """True when `take` returns or raises something."""
        return len(self._left) > 0 or self.receiver.ready or self.ended is not None

    def take(self, now: int) -> "Any":
        """Return the next message.

        LinkReset, once for each session that has ended. What `ended` says, at the end.
        """
        if self._left:
            item = self._left.pop(0)
            if isinstance(item, LinkReset):
                raise item
            return item
        if self.receiver.ready:
            return self.receiver.take(now)
        raise self.ended or RuntimeError("nothing is ready")

    def receive(self, frame: "Any", now: int) -> None:
        """Take a frame."""
        if self.ended is not None:
            return
        try:
            if not isinstance(frame, list):
                raise TypeError
            tag = frame[0]
            if tag == NO_TAG:
                self._control(frame, now)
            elif tag == self._handshake.tag or self._answers(tag, now):
                self._heard = now
                self._handshake.confirmed = True
                self._session(frame, now)
            else:
                self._stranger(frame, now)
        except (TypeError, IndexError, KeyError):
            self.skipped += 1
        except ValueError as exc:
            # Both ends disagree on what has been sent: the session makes no sense any more.
            self.skipped += 1
            self._reset("the peer breaks the protocol: %s" % exc, now)

    def _answers(self, tag, now):
        what = self._handshake.answers(tag)
        if what == REPLACED:
            self._lose(LinkReset("the peer has started anew"), now)
        if what == NOTHING:
            return False
        self._open(now)
        return self.ended is None

    def _stranger(self, frame, now):
        """A frame of a session that is not, or no longer, ours."""
        self.skipped += 1
        if frame[0] == self._handshake.old_tag and len(frame) == 2:
            self._last_words = [frame[0], 0]  # it has not heard our answer
        elif not self._handshake.is_open:
            self._handshake.hurry(now)  # the peer does not know that we have started anew

    def _control(self, frame, now):
        what = self._handshake.receive(frame)
        if what == OPENED:
            self._open(now)
        elif what == CONFIRM:
            self.receiver.ack_now(now)
        elif what == SKIPPED:
            self.skipped += 1
        elif what == REFUSED:
            self.skipped += 1
            if not self._options.persistent:
                text = "the peer speaks version %s of the protocol, this end %s"
                self._end(ProtocolError(text % (frame[2], VERSION)))

    def _session(self, frame, now):
        n = len(frame)
        if n == 2:
            self._peer_leaves(frame[1], now)
            return
        if n < 4:
            raise TypeError
        ack, room, bits = frame[1:4]
        if ack | room | bits < 0:  # TypeError also when one of them is no integer
            raise TypeError
        self.sender.acked(ack, room, bits, now)
        if n > 5:
            # Of integers there are as many as the window has; of fractions there is no end.
            self.receiver.put(frame[4] | 0, frame[5], now)
        elif n == 5:
            self.receiver.ack_now(now)

    def _peer_leaves(self, end, now):
        """The peer has sent all its messages, so many, and sends no more."""
        self._last_words = [self._handshake.tag, self.sender.sent_end]
        if end > self.receiver.next:
            why = "the peer has closed before its last messages arrived"
            self._give_up(LinkLost(why), why, now)
        else:
            self._give_up(EOFError(), "the peer has closed the session", now)

    def link_reset(self, now: int) -> None:
        """The link below is a new one: what was under way is lost."""
        self._busy_since = None
        self._heard = self._asked = now
        if not self._handshake.is_open:
            self._handshake.hurry(now)
        else:
            self.sender.link_reset(now)
            self.receiver.ack_now(now)

    def refused(self, exc: BaseException, now: int) -> None:
        """The link does not take the frame, for what is in it: no message can pass that one."""
        why = "a message could not be sent: %s" % exc
        if not self._handshake.is_open:
            self._end(LinkLost(why))  # not even a hello
            return
        self._last_words = [self._handshake.tag, self.sender.sent_end]
        self._give_up(LinkLost(why), why, now)

    def link_lost(self, exc: BaseException) -> None:
        """There is no link any more."""
        self._end(exc)

    # ---- what is to be sent

    def next(self, now: int) -> "list[Any] | None":
        """Return the frame to be sent now, or None."""
        frame = self._next(now)
        if frame is not None:
            self._busy_since = now
        return frame

    def _next(self, now):
        if self._last_words is not None:
            frame, self._last_words = self._last_words, None
            return frame
        if self.ended is not None:
            return None
        frame = self._handshake.next(now)
        if frame is None and self._handshake.is_open:
            frame = self._next_of_session(now)
        return frame

    def _next_of_session(self, now):
        # A peer that is not open, and then starts anew with the same nonce (without randomness),
        # must not get a message of the session twice.
        message = self.sender.next(now) if self._handshake.confirmed else None
        due = self.receiver.due
        if message is not None:
            return self._ack() + list(message)
        if self._ping:
            self._ping = False
            return self._ack() + [0]
        if due is not None and due <= now:
            return self._ack()
        if self.closing and self.sender.first == self.sender.end and self._bye_at <= now:
            self._bye_at = now + self.sender.rtt.rto
            return [self._handshake.tag, self.sender.end]
        return None

    def _ack(self):
        ack, room, bits = self.receiver.ack()
        return [self._handshake.tag, ack, room, bits]

    def taken(self, now: int) -> None:
        """The link has taken the frame."""
        since = self._busy_since
        if since is not None and now - since > self._options.keepalive_ms:
            self._heard = self._asked = now  # it was down: the peer could not be heard
        self._busy_since = None

    # ---- time

    @property
    def deadline(self) -> "int | None":
        """When `tick` is to be called; None: not before something else happens."""
        if self.ended is not None:
            return None
        if not self._handshake.is_open:
            due = [self._handshake.deadline]
        elif self._busy_since is not None:
            due = [self._heard + self._options.down_ms]
        else:
            due = self._deadlines()
        if self.closing:
            due.append(self._close_at)
        return min(due)

    def _deadlines(self):
        due = [self._ping_at(), self._heard + self._options.silence_ms]
        for at in (self.receiver.due, self.sender.deadline):
            if at is not None:
                due.append(at)
        if self.closing and self.sender.first == self.sender.end:
            due.append(self._bye_at)
        return due

    def _ping_at(self):
        every = self._options.keepalive_ms
        if self._in_doubt():
            every = min(every, self.sender.rtt.rto)
        elif self._asked > self._heard:  # one ping, or its answer, may be lost
            every = min(every, self.sender.rtt.rto << min(self._asks, 10))
        elif self._handshake.second:
            every += every >> 2  # the ping of the other end is enough
        return max(self._heard, self._asked) + every

    def _in_doubt(self):
        """True while news of the peer is needed and may have got lost."""
        return self.sender.blocked or not self._handshake.confirmed

    def tick(self, now: int) -> None:
        """The time is `now`; call `next` afterwards."""
        if self.closing and self.ended is None and now >= self._close_at:
            self._last_words = self.farewell()
        if self.ended is None and self._handshake.is_open:
            self._tick_open(now)

    def _tick_open(self, now):
        o = self._options
        limit = o.silence_ms if self._busy_since is None else o.down_ms
        if now - self._heard >= limit:
            why = "nothing has been heard of the peer for %d ms" % limit
            self._give_up(LinkLost(why), why, now)
        elif self._busy_since is None:
            if now >= self._ping_at():
                if self._in_doubt():
                    self.sender.rtt.backoff()
                self._asks = self._asks + 1 if self._asked > self._heard else 0
                self._asked = now
                self._ping = True
            at = self.sender.deadline
            if at is not None and now >= at:
                self.sender.expire(now)
