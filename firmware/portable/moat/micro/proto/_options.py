"""The options of the reliable protocol."""

MAX_WINDOW = 64  # bits of an acknowledgement
OVERHEAD = 26  # bytes that a frame has more than its message, at most


class Options:
    """The window, and the limits of patience in ms.

    Args:
        window: messages that may be under way, and that may wait to be read; 1 to 64.
        queue: accepted messages that may wait, those under way included.
        keepalive_ms: silence after which the peer is asked whether it is there.
        silence_ms: silence after which the session ends; longer than `keepalive_ms`, or one
            ends that is merely idle.
        down_ms: the same, while the link below takes nothing.
        linger_ms: time for the last messages when this end closes.
        persistent: when a session has ended, wait for the next one.
    """

    def __init__(
        self,
        window: int = 8,
        queue: "int | None" = None,
        keepalive_ms: int = 5000,
        silence_ms: int = 15000,
        down_ms: int = 60000,
        linger_ms: int = 1000,
        persistent: bool = False,
    ) -> None:
        if not 1 <= window <= MAX_WINDOW:
            raise ValueError("a window has 1 to %d messages, not %r" % (MAX_WINDOW, window))
        if queue is not None and queue < 1:
            raise ValueError("a queue has room for a message, not %r" % queue)
        if min(keepalive_ms, silence_ms, down_ms) < 1 or linger_ms < 0:
            raise ValueError("times are positive, in ms")
        self.window = window + (window == 3)  # a hello contains no byte 3
        self.queue = queue or 2 * self.window
        self.keepalive_ms = keepalive_ms
        self.silence_ms = silence_ms
        self.down_ms = down_ms
        self.linger_ms = linger_ms
        self.persistent = persistent
