"""Exactly once and in order, over a link that loses, repeats, reorders and delays messages.

The state of one end, without I/O and without a clock. Frames are lists; what damages them is
taken for loss, a checksum below sees to that. docs/wire.md has the format.

    opening     _handshake; messages are accepted and wait
    open        data flows
    closing     no more messages are accepted; those under way are delivered, then a BYE
    ended       for good, `ended` says why

A session ends when the peer starts anew or takes leave, breaks the protocol, or is silent for
too long; then the next one is opened, or all is ended (`Options.persistent`). What had arrived
can still be read. Until that has been done it takes up room for messages of the next session.

Times are milliseconds of a clock that only rises, as whole numbers.
"""

from moat.micro.const import const
from moat.micro.errors import LinkLost, LinkReset, ProtocolError
from moat.micro.proto import _handshake as shake
from moat.micro.proto._handshake import Handshake
from moat.micro.proto._options import Options
from moat.micro.proto._past import Past, fate
from moat.micro.proto._patience import Patience
from moat.micro.proto._window import Receiver, Rtt, Sender

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

OPENING, OPEN, CLOSING, ENDED = 0, 1, 2, 3

ACK_MS = 20  # that an acknowledgement waits for a message to ride on


class Reliable:
    """One end.

    Feed `receive` with frames. Send what `next` returns whenever the link can take something,
    and call `taken` when it has. Call `tick` at `deadline`, also while the link is busy.

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
        self.news = False  # there is room, or something was delivered or has ended; reset it
        self._options = options
        self.past = Past()
        self._last_words: "list[Any] | None" = None
        self._patience = Patience(options, now)
        self._handshake = Handshake(random, options.window, now)
        self._fresh(now)

    # ---- sessions

    def _fresh(self, now):
        """Begin with nothing sent and nothing received."""
        self.sender = Sender(self._options.queue, Rtt(ACK_MS))
        self.receiver = Receiver(self._options.window, ACK_MS, self.past.held)
        self._handshake.room = self.receiver.room()
        self._patience.fresh(now)
        self._bye_at = self._close_at = now

    def state(self) -> int:
        """OPENING, OPEN, CLOSING or ENDED."""
        if self.ended is not None:
            return ENDED
        if self.closing:
            return CLOSING
        return OPEN if self._handshake.is_open else OPENING

    def _open(self, now):
        handshake = self._handshake
        self._patience.revive(now)
        self.sender.rtt.handshake(now - handshake.said)
        self.sender.open(min(self._options.window, handshake.peer_window), handshake.peer_room)
        self.receiver.ack_now(now)  # the peer shall know

    def _lose(self, why, now):
        """The session has ended, another one begins."""
        if self.closing:
            self._end(LinkLost(why))
            return
        self.past.add(self.sender, self.receiver, LinkReset(why))
        self.sessions += 1
        self.news = True
        self._fresh(now)

    def _reset(self, why, now):
        if self._handshake.confirmed:
            self._lose(why, now)
        self._patience.fresh(now)  # nothing else was begun
        self._handshake.restart(now)

    def _give_up(self, exc, why, now):
        """The session has ended, and this end as well unless it waits for the next one."""
        if self._options.persistent and not self.closing:
            self._reset(why, now)
        else:
            self._end(exc)

    def _end(self, exc):
        if self.ended is None:
            self.ended = exc
            self.news = True

    def close(self, now: int) -> None:
        """Deliver what was accepted, then take leave, for `linger_ms` at most."""
        self.closing = self.news = True
        self._close_at = now + self._options.linger_ms
        self._bye_at = now
        if self.sender.end == 0 and not self._handshake.is_open:
            self._last_words = self.farewell()

    def farewell(self) -> "list[Any] | None":
        """End at once; returns the frame that tells the peer, if it has to be told."""
        frame = self._handshake.farewell(self.sender.end) if self.ended is None else None
        self._end(LinkLost("the link has been closed on this side"))
        return frame

    def fate(self, session: int, number: int) -> "str | None":
        """What has become of a message: None while it may still be delivered.

        Args:
            session: `sessions` when it was accepted.
            number: what `sender.put` returned.
        """
        if session < self.sessions:
            return self.past.fate(number, self.sessions - session)
        sender = self.sender
        if self.ended is None and number >= sender.first:
            return None
        return fate(number, sender.first, sender.sent_end)

    # ---- what arrives

    def ready(self) -> bool:
        """True when `take` returns or raises something."""
        return len(self.receiver.ready) > 0 or self.past.ready() or self.ended is not None

    def take(self, now: int) -> "Any":
        """Return the next message.

        LinkReset, when a session has ended; once for several of which nothing arrived. What
        `ended` says, at the end.
        """
        if self.past.ready():
            msg = self.past.take()
            self.receiver.released(now)
            self._handshake.room = self.receiver.room()
            return msg
        if self.receiver.ready:
            return self.receiver.take(now)
        exc = self.ended or RuntimeError("nothing is ready")
        raise type(exc)(*exc.args)  # a new one: each raise would add its traceback

    def receive(self, frame: "Any", now: int) -> None:
        """Take a frame."""
        try:
            if not isinstance(frame, list):
                raise TypeError
            tag = frame[0]
            if self.ended is not None:
                if tag == self._handshake.tag and len(frame) == 2 and not self.closing:
                    self._last_words = [self._handshake.out_tag, 0]  # the answer was lost
                return
            if tag == self._handshake.tag or (tag != shake.NO_TAG and self._answers(tag, now)):
                self._patience.hear(now)
                self._handshake.confirmed = True
                self._session(frame, now)
            elif tag == shake.NO_TAG:
                self._control(frame, now)
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
        if what == shake.REPLACED:
            self._lose("the peer has started anew", now)
        if what == shake.NOTHING:
            return False
        if self.ended is not None:  # we were about to leave
            self._last_words = self._handshake.farewell(0)
            return False
        self._open(now)
        return True

    def _stranger(self, frame, now):
        """A frame of a session that is not, or no longer, ours."""
        self.skipped += 1
        handshake = self._handshake
        patience = self._patience
        if frame[0] == handshake.old_tag and len(frame) == 2:
            self._last_words = [handshake.old_out_tag, 0]  # it has not heard our answer
        elif not handshake.is_open:
            handshake.hurry(now)  # the peer does not know that we have started anew
        elif frame[0] != handshake.out_tag and patience.estranged(now, self.sender.rtt.rto):
            self._reset("the peer is in another session", now)

    def _control(self, frame, now):
        what = self._handshake.receive(frame)
        if what == shake.OPENED:
            self._open(now)
        elif what == shake.CONFIRM:
            self.receiver.ack_now(now)
        elif what != shake.NOTHING:
            self.skipped += 1
        if what == shake.REFUSED and not (self._options.persistent or self._handshake.is_open):
            self._last_words = self._handshake.hello()  # the peer shall know as well
            text = "the peer speaks version %s of the protocol, this end %s"
            self._end(ProtocolError(text % (frame[2], shake.VERSION)))

    def _session(self, frame, now):
        n = len(frame)
        if n == 2:
            self._peer_leaves(frame[1] | 0, now)
            return
        ack = frame[1]
        room = frame[2]
        bits = frame[3]
        if ack | room | bits < 0:  # TypeError also when one of them is no integer
            raise TypeError
        sender = self.sender
        if sender.acked(ack, room, bits, now):
            self.news = True
        elif n == 4 and not sender.moved:
            sender.rtt.repeated()
        if self._patience.asks and not sender.blocked():
            self._patience.asks = 0
        if n > 5:
            # Of integers there are as many as the window has; of fractions there is no end.
            self.receiver.put(frame[4] | 0, frame[5], now)
        elif n == 5:
            self.receiver.ack_now(now)

    def _peer_leaves(self, end, now):
        """The peer has sent all its messages, so many, and sends no more."""
        self._last_words = [self._handshake.out_tag, self.sender.sent_end]
        if end > self.receiver.next:
            why = "the peer has closed before its last messages arrived"
            self._give_up(LinkLost(why), why, now)
        else:
            self._give_up(EOFError(), "the peer has closed the session", now)

    def link_reset(self, now: int) -> None:
        """The link below is a new one: what was under way is lost."""
        self._patience.link_reset(now)
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
        self._last_words = self._handshake.farewell(self.sender.sent_end)
        self._give_up(LinkLost(why), why, now)

    def link_lost(self, exc: BaseException) -> None:
        """There is no link any more."""
        self._end(exc)

    # ---- what is to be sent

    def next(self, now: int) -> "list[Any] | None":
        """Return the frame to be sent now, or None."""
        frame = self._last_words
        if frame is not None:
            self._last_words = None
        elif self.ended is None:
            frame = self._handshake.next(now)
            if frame is None and self._handshake.is_open:
                frame = self._next_of_session(now)
        if frame is not None:
            self._patience.busy_since = now
        return frame

    def _next_of_session(self, now):
        tag = self._handshake.out_tag
        receiver = self.receiver
        # A peer that is not open, and then starts anew with the same nonce (without randomness),
        # must not get a message of the session twice.
        entry = self.sender.next(now) if self._handshake.confirmed else None
        if entry is not None:
            frame = receiver.ack(tag)
            frame.append(entry.seq)
            frame.append(entry.msg)
            return frame
        if self._patience.ping:
            self._patience.ping = False
            return receiver.ack(tag) + [0]
        if receiver.due is not None and receiver.due <= now:
            return receiver.ack(tag)
        if self._says_bye() and self._bye_at <= now:
            self._bye_at = now + self.sender.rtt.rto
            return [tag, self.sender.end]
        return None

    def _says_bye(self):
        return self.closing and self.sender.first == self.sender.end

    def pending(self, now: int) -> bool:
        """True when `next` returns something, and the link is not busy."""
        if self._patience.busy_since is not None:
            return False
        if self._last_words is not None:
            return True
        if self.ended is not None:
            return False
        if not self._handshake.is_open:
            return self._handshake.pending(now)
        due = self.receiver.due
        return (
            (self._handshake.confirmed and self.sender.pending())
            or (due is not None and due <= now)
            or self._patience.ping
            or self._handshake.pending(now)
            or (self._says_bye() and self._bye_at <= now)
        )

    def taken(self, now: int) -> None:
        """The link has taken the frame."""
        self._patience.taken(now)

    # ---- time

    def deadline(self, now: int) -> int:
        """When `tick` is to be called, at the latest."""
        busy = self._patience.busy_since is not None
        if not self._handshake.is_open:
            at = now + self._options.down_ms if busy else self._handshake.due
        else:
            at = self._patience.deadline(
                self._in_doubt(), self._handshake.second(), self.sender.rtt.rto
            )
            if not busy:
                at = self._earlier(at)
        if self.closing and self._close_at < at:
            at = self._close_at
        return at

    def _earlier(self, at):
        other = self.receiver.due
        if other is not None and other < at:
            at = other
        other = self.sender.deadline()
        if other is not None and other < at:
            at = other
        if self._bye_at < at and self._says_bye():
            at = self._bye_at
        return at

    def _in_doubt(self):
        """True while news of the peer are needed, and may have got lost."""
        strange = self._patience.strange is not None
        return strange or not self._handshake.confirmed or self.sender.blocked()

    def tick(self, now: int) -> None:
        """The time is `now`; call `next` afterwards."""
        if self.ended is not None:
            return
        if self.closing and now >= self._close_at:
            self._last_words = self.farewell()
        elif self._handshake.is_open:
            sender = self.sender
            patience = self._patience
            if patience.expired(now, self._in_doubt(), self._handshake.second(), sender.rtt.rto):
                why = "nothing has been heard of the peer for %d ms" % patience.limit
                self._give_up(LinkLost(why), why, now)
            elif patience.busy_since is None:
                at = sender.deadline()
                if at is not None and now >= at:
                    sender.expire(now)
