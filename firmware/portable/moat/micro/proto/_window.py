"""The two halves of a sliding window: what is to be delivered, and what has arrived.

Sequence numbers count up and never wrap: 1 to 5 bytes on the wire, and no late duplicate can
be taken for a new message. Selective acknowledgement as in RFC 2018, as a bitmap; loss by
order of transmission and retransmission time as in RFC 9002 and RFC 6298.

Times are milliseconds of a clock that only rises.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# A frame is lost when one that was sent so many frames later has arrived.
_REORDER = 3

RTO_FIRST = 500  # before a round trip has been measured
RTO_MIN = 20
RTO_MAX = 10000
# How much longer back-off makes it, and how long at least at the end. A serial line that loses
# half of what is sent is not congested: it gets no better by waiting.
_BACKOFF = const(3)
_BACKOFF_MS = const(500)


class Rtt:
    """Retransmission time from measured round trips (RFC 6298).

    Args:
        ack_delay: ms that the peer may wait with an acknowledgement.
    """

    def __init__(self, ack_delay: int) -> None:
        self.least = 0  # the shortest round trip
        self._ack_delay = ack_delay
        self._srtt8 = -1  # eight times the smoothed round trip; -1: not measured yet
        self._var4 = 0  # four times its variation
        self._backoff = 0
        self._first = RTO_FIRST

    def handshake(self, ms: int) -> None:
        """The answer to a hello took `ms`, or less if there were several."""
        self._first = min(RTO_FIRST, max(RTO_MIN, 4 * ms) + self._ack_delay)

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
            self.least = min(self.least, ms)

    def backoff(self) -> None:
        """Nothing came for `rto` ms: wait twice as long next time."""
        self._backoff += 1

    def progress(self) -> None:
        """Something was acknowledged."""
        self._backoff = 0

    @property
    def rto(self) -> int:
        """Milliseconds after which what was sent is sent again."""
        if self._srtt8 < 0:
            ms = self._first
        else:
            ms = max(RTO_MIN, (self._srtt8 >> 3) + self._var4 + 1 + self._ack_delay)
        most = max(ms << _BACKOFF, _BACKOFF_MS)
        return min(ms << min(self._backoff, 10), most, RTO_MAX)


class _Entry:
    """A message that is to be delivered."""

    sent = 0  # when, the last time
    order = -1  # of its last transmission among all; -1: never
    tries = 0
    lost = False  # to be sent again
    arrived = False  # out of order

    def __init__(self, msg, channel):
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
        self.edge = 0  # the peer takes numbers below this
        self.window = 0  # messages that may be under way
        self._size = size
        self._queue = []
        self._sent = 0  # of the queue, so many have been sent
        self._order = 0
        self._arrived_order = -1  # the latest transmission that is known to have arrived
        self._lost = 0
        self._timer = None  # when something was sent or acknowledged last

    def open(self, window: int, room: int) -> None:
        """The peer is there: it takes `room` messages, `window` of them at once."""
        self.window = window
        self.edge = room

    @property
    def end(self) -> int:
        """The number behind the last message that was accepted."""
        return self.first + len(self._queue)

    @property
    def sent_end(self) -> int:
        """The number behind the last message that was sent."""
        return self.first + self._sent

    @property
    def full(self) -> bool:
        """True when `put` must not be called."""
        return len(self._queue) >= self._size

    def put(self, msg: "Any", channel: "Any" = None) -> int:
        """Accept a message; returns its number.

        One that has a channel takes the place of an older one of that channel which was not
        sent yet, even when the queue is full: see `replace`.
        """
        self._queue.append(_Entry(msg, channel))
        return self.end - 1

    def replace(self, msg: "Any", channel: "Any") -> "int | None":
        """Put `msg` in the place of the channel's unsent one; returns its number, or None."""
        queue = self._queue
        for i in range(self._sent, len(queue)):
            if queue[i].channel == channel:
                queue[i].msg = msg
                return self.first + i
        return None

    def next(self, now: int) -> "tuple[int, Any] | None":
        """Return number and message of what is to be sent now, or None."""
        queue = self._queue
        i = self._sent
        if self._lost:
            i = 0
            while not queue[i].lost:
                i += 1
            self._lost -= 1
        elif i < len(queue) and i < self.window and self.first + i < self.edge:
            self._sent += 1
        else:
            return None
        entry = queue[i]
        entry.lost = False
        entry.sent = now
        entry.tries += 1
        entry.order = self._order
        self._order += 1
        self._timer = now
        return self.first + i, entry.msg

    @property
    def blocked(self) -> bool:
        """True while the peer's credit holds messages back, and nothing is under way."""
        return not self._sent and len(self._queue) > 0 and self.first >= self.edge

    def acked(self, ack: int, room: int, bits: int, now: int) -> bool:
        """The peer has all up to `ack`, and those of `bits` behind that; True if that is news.

        ValueError: it has what we never sent.
        """
        n = ack - self.first
        if n > self._sent or (n >= 0 and bits >> max(0, self._sent - n - 1)):
            raise ValueError("acknowledged what was never sent")
        if n < 0:
            return False  # overtaken by a later one
        self.edge = max(self.edge, ack + room)
        queue = self._queue
        arrived = [entry for entry in queue[:n] if not entry.arrived]
        i = n + 1
        while bits:
            if bits & 1 and not queue[i].arrived:
                arrived.append(queue[i])
            bits >>= 1
            i += 1
        del queue[:n]
        self.first = ack
        self._sent -= n
        if arrived:
            self._arrivals(arrived, now)
            self._find_losses()
        if n or arrived:
            self.rtt.progress()
            self._timer = now if self._sent else None
        return n > 0 or len(arrived) > 0

    def _arrivals(self, entries, now):
        newest = None
        for entry in entries:
            entry.arrived = True
            if entry.lost:
                entry.lost = False
                self._lost -= 1
            if entry.tries > 1 and now - entry.sent < self.rtt.least:
                continue  # too soon: this is for an earlier transmission
            if newest is None or entry.order > newest.order:
                newest = entry
        if newest is not None:
            self._arrived_order = max(self._arrived_order, newest.order)
            if newest.tries == 1:
                self.rtt.sample(now - newest.sent)

    def _find_losses(self):
        limit = self._arrived_order - _REORDER
        for i in range(self._sent):
            entry = self._queue[i]
            if entry.order <= limit and not entry.arrived and not entry.lost:
                entry.lost = True
                self._lost += 1

    @property
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
        self._timer = now if self._sent else None
        self._lose(self._sent)

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
    """

    def __init__(self, window: int, ack_delay: int) -> None:
        self.next = 0  # the number that is to come
        self.duplicates = 0
        self._window = window
        self._ack_delay = ack_delay
        self._early = {}  # number -> message
        self._ready = []
        self._taken = 0
        self._told_edge = window
        self._unacked = 0
        self._due = None  # when the acknowledgement has to be sent

    def put(self, seq: int, msg: "Any", now: int) -> None:
        """A message has arrived. ValueError: it is beyond what we allowed."""
        if seq >= self._taken + self._window:
            raise ValueError("more than was allowed")
        if seq < self.next or seq in self._early:
            self.duplicates += 1
            self._due = now
            return
        early = self._early
        if seq > self.next or early:
            self._due = now  # a gap: the peer wants to know
        if seq > self.next:
            early[seq] = msg
            return
        self._ready.append(msg)
        self.next += 1
        while early and self.next in early:
            self._ready.append(early.pop(self.next))
            self.next += 1
        self._unacked += 1
        if self._unacked * 2 >= self._window:
            self._due = now
        elif self._due is None or self._due > now:
            self._due = now + self._ack_delay  # the next one may come soon

    @property
    def ready(self) -> bool:
        """True when `take` has something."""
        return len(self._ready) > 0

    def take(self, now: int) -> "Any":
        """Return the next message, in order."""
        self._taken += 1
        grown = self._taken + self._window - self._told_edge
        if self._told_edge <= self.next or 2 * grown >= self._window:
            self._due = now  # the peer is held up, or soon will be
        return self._ready.pop(0)

    def rest(self) -> "list[Any]":
        """Return the messages that were not taken."""
        return self._ready

    @property
    def due(self) -> "int | None":
        """When an acknowledgement is to be sent, or None."""
        return self._due

    def ack_now(self, now: int) -> None:
        """The peer asks for an acknowledgement."""
        self._due = now

    def ack(self) -> "tuple[int, int, int]":
        """Return the acknowledgement to be sent: what is to come, room behind it, bitmap."""
        self._due = None
        self._unacked = 0
        self._told_edge = self._taken + self._window
        bits = 0
        for seq in self._early:
            bits |= 1 << (seq - self.next - 1)
        return self.next, self._told_edge - self.next, bits
