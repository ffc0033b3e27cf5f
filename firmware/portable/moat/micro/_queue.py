"""A bounded queue on top of the runtime's Event; `rt` supplies the Event and exports Queue."""

from moat.micro.const import const

_TYPING = const(0)
if _TYPING:
    from typing import Any


class BaseQueue:
    """First in, first out, at most `maxsize` items; many producers, many consumers.

    A call that need not wait returns at once. Cancelling one that waits loses nothing: the item
    is taken or stored only when the call returns.
    """

    Event: "Any" = None  # set by rt

    def __init__(self, maxsize: int) -> None:
        self._max = maxsize
        self._items: "list[Any]" = []
        self._closed = False
        self._waiting = 0
        self._changed = self.Event()

    def __len__(self) -> int:
        return len(self._items)

    def full(self) -> bool:
        """True when `put` would wait."""
        return len(self._items) >= self._max

    def close(self) -> None:
        """No more items: `get` drains what is left, then raises EOFError, `put` at once."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting:  # else there is nothing to allocate an event for
            self._changed.set()
            self._changed.clear()

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            await self._changed.wait()
        finally:
            self._waiting -= 1

    async def put(self, item: "Any") -> None:
        """Append `item`; waits while the queue is full. EOFError when it is closed."""
        while self.full() and not self._closed:
            await self._wait()
        if self._closed:
            raise EOFError
        self._items.append(item)
        self._wake()

    async def get(self) -> "Any":
        """Take the oldest item; waits for one. EOFError when closed and empty."""
        while not self._items:
            if self._closed:
                raise EOFError
            await self._wait()
        item = self._items.pop(0)
        self._wake()
        return item
