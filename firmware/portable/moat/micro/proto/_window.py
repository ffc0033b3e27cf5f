"""The two halves of a sliding window: what is to be delivered, and what has arrived.

Sequence numbers count up and never wrap: 1 to 5 bytes on the wire, and no late duplicate can
be taken for a new message. Selective acknowledgement as in RFC 2018, as a bitmap; loss by
order of transmission and retransmission time as in RFC 9002 and RFC 6298.

Times are milliseconds of a clock that only rises.

There are no properties here: MicroPython stores attributes slowly in a class that has one.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# A frame is lost when one that was sent so many frames later has arrived.
_REORDER = const(3)

RTO_FIRST = 500  # before a round trip has been measured
RTO_MIN = 20
RTO_MAX = 10000


class Rtt:
    """Retransmission time from measured round trips (RFC 6298).

    Args:
        ack_delay: ms that the peer may wait with an acknowledgement.
    """

    def __init__(self, ack_delay: int) -> None:
        self.rto = RTO_FIRST  # ms after which what was sent is sent again
        self.least = 0  # the shortest round trip
        self._ack_delay = ack_delay
        self._base = RTO_FIRST  # `rto` without back-off
        self._srtt8 = -1  # eight times the smoothed round trip; -1: not measured yet
        self._var4 = 0  # four times its variation
        self._backoff = 0
        self._kept = 0  # the back-off that was given up without a sample
        self._careful = False  # until the next sample do not give up any more

    def handshake(self, ms: int) -> None:
        """The answer to a hello took `ms`, or less if there were several."""
        self.rto = self._base = min(RTO_FIRST, max(RTO_MIN, 4 * ms) + self._ack_delay)

    def sample(self, ms: int) -> None:
        """A round trip took `ms`; not for what was sent twice."""
        if self._srtt8 < 0:
            self._srtt8 = 8 * ms
            self._var4 = 2 * ms
            self.least = ms
        else:
            err = ms - (self._srtt8 >> 3)
            self._srtt8 += err
            self._var4 += abs(err) - (self._var4 >> 2)
            if ms < self.least:
                self.least = ms
        ms = (self._srtt8 >> 3) + self._var4 + 1 + self._ack_delay
        self.rto = self._base = min(max(RTO_MIN, ms), RTO_MAX)
        self._backoff = self._kept = 0
        self._careful = False

    def backoff(self) -> None:
        """Nothing came for `rto` ms: wait twice as long."""
        self._back_off(min(self._backoff + 1, 10))

    def _back_off(self, n):
        self._backoff = n
        self.rto = min(self._base << n, RTO_MAX)

    def progress(self) -> None:
        """An answer came, but to what was sent twice: for which of the two is not known."""
        if not self._careful:
            self._kept = max(self._kept, self._backoff)
            self._back_off(0)

    def repeated(self) -> None:
        """It seems that the peer has got something twice: it was late, not lost.

        So `rto` is too short. Wait long enough to get a sample (Karn).
        """
        if self._kept:
            self._careful = True
            self._back_off(max(self._kept, self._backoff))


class _Entry:
    """A message that is to be delivered."""

    sent = 0  # when, the last time
    order = -1  # of its last transmission among all; -1: never
    tries = 0
    lost = False  # to be sent again
    arrived = False  # out of order

    def __init__(self, seq, msg, channel):
        self.seq = seq
        self.msg = msg
        self.channel = channel


class Sender:
    """The messages on their way to the peer.

    Args:
        size: messages that may wait here, those under way included.
        rtt: see Rtt.
    """

    def __init__(self, size: int, rtt: Rtt) -> None:
        self.rtt = rtt
        self.first = 0  # number of the oldest that was not acknowledged
        self.sent_end = 0  # the number behind the last message that was sent
        self.end = 0  # the number behind the last message that was accepted
        self.edge = 0  # the peer takes numbers below this
        self.window = 0  # messages that may be under way
        self.moved = False  # the last acknowledgement had news
        self._size = size
        self._queue = []
        self._order = 0
        self._arrived_order = -1  # the latest transmission that is known to have arrived
        self._lost = 0  # messages that are to be sent again
        self._timer = None  # when something was sent or acknowledged last

    def open(self, window: int, room: int) -> None:
        """The peer is there: it takes `room` messages, `window` of them at once."""
        self.window = window
        self.edge = room

    def full(self) -> bool:
        """True when `put` must not be called."""
        return self.end - self.first >= self._size

    def put(self, msg: "Any", channel: "Any" = None) -> int:
        """Accept a message; returns its number. `channel`: see `replace`."""
        seq = self.end
        self._queue.append(_Entry(seq, msg, channel))
        self.end = seq + 1
        return seq

    def replace(self, msg: "Any", channel: "Any") -> "int | None":
        """Put `msg` in the place of the channel's unsent one; returns its number, or None.

        This also works when the queue is full.
        """
        queue = self._queue
        for i in range(self.sent_end - self.first, len(queue)):
            if queue[i].channel == channel:
                queue[i].msg = msg
                return queue[i].seq
        return None

    def pending(self) -> bool:
        """True when `next` has something."""
        if self._lost:
            return True
        n = self.sent_end
        return n < self.end and n < self.edge and n - self.first < self.window

    def next(self, now: int) -> "_Entry | None":
        """Return what is to be sent now, its `seq` and `msg`; or None."""
        if not self.pending():
            return None
        i = self.sent_end - self.first
        if self._lost:
            i = 0
            while not self._queue[i].lost:
                i += 1
            self._lost -= 1
        else:
            self.sent_end += 1
        entry = self._queue[i]
        entry.lost = False
        entry.sent = now
        entry.tries += 1
        entry.order = self._order
        self._order += 1
        self._timer = now
        return entry

    def blocked(self) -> bool:
        """True while the peer's credit holds messages back, and nothing is under way."""
        return self.edge <= self.first < self.end and self.sent_end == self.first

    def acked(self, ack: int, room: int, bits: int, now: int) -> bool:
        """The peer has all up to `ack`, and those of `bits` behind that; True if there is room.

        ValueError: it has what we never sent.
        """
        n = ack - self.first
        sent = self.sent_end - ack
        if sent < 0 or (n >= 0 and bits >> (sent - 1 if sent else 0)):
            raise ValueError("acknowledged what was never sent")
        self.moved = True
        if n < 0:
            return False  # overtaken by a later one
        newest = self._newest(n, bits, now)
        if ack + room > self.edge:
            self.edge = ack + room
        elif not n and newest is None:
            self.moved = False
        if n:
            del self._queue[:n]
            self.first = ack
            self._timer = now if sent else None
        if newest is not None:
            self._timer = now if sent else None
            if newest.tries == 1:
                self.rtt.sample(now - newest.sent)
            else:
                self.rtt.progress()
            if newest.order > self._arrived_order:
                self._arrived_order = newest.order
            self._find_losses()
        return n > 0

    def _newest(self, n, bits, now):
        """Note what has arrived; returns what of it was sent last."""
        queue = self._queue
        newest = None
        i = 0
        while i < n:
            newest = self._arrived(queue[i], newest, now)
            i += 1
        while bits:
            i += 1
            if bits & 1:
                newest = self._arrived(queue[i], newest, now)
            bits >>= 1
        return newest

    def _arrived(self, entry, newest, now):
        """Note that it has arrived; returns which of the two was sent later."""
        if entry.arrived:
            return newest
        entry.arrived = True
        if entry.lost:
            entry.lost = False
            self._lost -= 1
        if entry.tries > 1 and now - entry.sent < self.rtt.least:
            return newest  # too soon: this is for an earlier transmission
        return entry if newest is None or entry.order > newest.order else newest

    def _find_losses(self):
        limit = self._arrived_order - _REORDER
        queue = self._queue
        for i in range(self.sent_end - self.first):
            entry = queue[i]
            if entry.order <= limit and not entry.arrived and not entry.lost:
                entry.lost = True
                self._lost += 1

    def deadline(self) -> "int | None":
        """When `expire` is to be called."""
        if self._timer is None or self._lost:
            return None
        return self._timer + self.rtt.rto

    def expire(self, now: int) -> None:
        """The retransmission time is over: send the oldest again."""
        self.rtt.backoff()
        self._timer = now
        self._lose(1)

    def link_reset(self, now: int) -> None:
        """All that is under way is lost."""
        n = self.sent_end - self.first
        self._timer = now if n else None
        self._lose(n)

    def _lose(self, n):
        for i in range(n):
            entry = self._queue[i]
            if not entry.arrived and not entry.lost:
                entry.lost = True
                self._lost += 1


class Receiver:
    """The messages that have arrived.

    Args:
        window: messages that may wait here, in order or not.
        ack_delay: ms that an acknowledgement may wait for a message to ride on.
        held: messages that wait elsewhere, and count like those here: see `released`.
    """

    def __init__(self, window: int, ack_delay: int, held: int = 0) -> None:
        self.next = 0  # the number that is to come
        self.due: "int | None" = None  # when an acknowledgement is to be sent
        self.ready: "list[Any]" = []  # messages that can be taken
        self.duplicates = 0
        self._window = window
        self._ack_delay = ack_delay
        self._early = {}  # number -> message
        self._edge = window - held  # numbers below this are taken
        self._told_edge = 0  # the peer knows of it
        self._unacked = 0

    def room(self) -> int:
        """Messages that may arrive, from `next` on."""
        return self._edge - self.next

    def put(self, seq: int, msg: "Any", now: int) -> None:
        """A message has arrived. ValueError: it is beyond what we allowed."""
        if seq >= self._edge:
            raise ValueError("more than was allowed")
        early = self._early
        if seq < self.next or seq in early:
            self.duplicates += 1
            self.due = now
            return
        if seq > self.next:
            early[seq] = msg
            self.due = now  # a gap: the peer wants to know
            return
        self.ready.append(msg)
        self.next = seq + 1
        self._unacked += 1
        if early:
            self.due = now
            while self.next in early:
                self.ready.append(early.pop(self.next))
                self.next += 1
        elif self._unacked * 2 >= self._window:
            self.due = now
        elif self.due is None or self.due > now:
            self.due = now + self._ack_delay  # the next one may come soon

    def take(self, now: int) -> "Any":
        """Return the next message, in order."""
        self.released(now)
        return self.ready.pop(0)

    def released(self, now: int) -> None:
        """A message was taken: there is room for one more."""
        self._edge += 1
        told = self._told_edge
        if told <= self.next or 2 * (self._edge - told) >= self._window:
            self.due = now  # the peer is held up, or soon will be

    def ack_now(self, now: int) -> None:
        """The peer asks for an acknowledgement."""
        self.due = now

    def ack(self, tag: int) -> "list[int]":
        """Return the frame with the acknowledgement: what is to come, room behind it, bitmap."""
        self.due = None
        self._unacked = 0
        self._told_edge = self._edge
        bits = 0
        for seq in self._early:
            bits |= 1 << (seq - self.next - 1)
        return [tag, self.next, self._edge - self.next, bits]
