"""How long one end of the reliable protocol waits for signs of the other.

Times are milliseconds of a clock that only rises.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from moat.micro.proto._options import Options

_LATE_MS = const(100)  # that `expired` may be called late before that counts


class Patience:
    """Silence, and the questions that end it.

    While the link takes nothing, the peer cannot be heard either: then there is another limit.
    """

    def __init__(self, options: "Options", now: int) -> None:
        self.busy_since: "int | None" = None  # the link has not taken the last frame
        self.limit = 0  # ms of the silence that was too long
        self.strange: "int | None" = None  # since when the peer seems to be in another session
        self._options = options
        self.fresh(now)

    def fresh(self, now: int) -> None:
        """A session begins."""
        self.ping = False  # the peer is to be asked for an answer
        self.asks = 0  # that were made, in doubt, without getting the news
        self.revive(now)

    def revive(self, now: int) -> None:
        """Count from now on."""
        self._asked = now
        self.hear(now)

    def hear(self, now: int) -> None:
        """The peer is there."""
        self.heard = now
        self.strange = None

    def estranged(self, now: int, rto: int) -> bool:
        """A frame of another session has come. True: so the peer is in that one.

        The frame may just be late. Then a question in our own session is answered, meanwhile.
        """
        if self.strange is None:
            self.strange = now
        return now - self.strange >= min(self._options.silence_ms >> 1, rto << 3)

    def taken(self, now: int) -> None:
        """The link has taken the frame."""
        since = self.busy_since
        if since is not None and now - since > self._options.keepalive_ms:
            self.revive(now)  # it was down
        self.busy_since = None

    def link_reset(self, now: int) -> None:
        """There is a new link."""
        if self.busy_since is not None:
            self.busy_since = now
        self.revive(now)

    def _ping_at(self, doubt, second, rto):
        every = self._options.keepalive_ms
        if doubt:
            every = min(every, rto << min(self.asks, 10))
        elif second:
            every += every >> 2  # the ping of the other end is enough
        return max(self.heard, self._asked) + every

    def deadline(self, doubt: bool, second: bool, rto: int) -> int:
        """When `expired` is to be called.

        Args:
            doubt: news of the peer are needed, and may have got lost.
            second: true at one of the two ends.
            rto: ms after which an answer may be lost.
        """
        if self.busy_since is not None:
            return self.heard + self._options.down_ms
        return min(self.heard + self._options.silence_ms, self._ping_at(doubt, second, rto))

    def expired(self, now: int, doubt: bool, second: bool, rto: int) -> bool:
        """True when the silence has been too long; sets `ping` when it is time to ask."""
        if self.busy_since is not None:
            self.limit = self._options.down_ms
            return now - self.heard >= self.limit
        late = now - self._ping_at(doubt, second, rto)
        if late > _LATE_MS:
            # We have slept. Nothing was heard of the peer because nobody has listened.
            self.heard += late
            self._asked += late
            self.strange = None
        self.limit = self._options.silence_ms
        if now - self.heard >= self.limit:
            return True
        if late >= 0:
            if doubt:
                self.asks += 1
            self._asked = now
            self.ping = True
        return False
