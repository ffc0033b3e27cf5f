"""A bounded list of log records, and readers that are told what they have missed."""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def level_of(level: "int | str") -> int:
    """Return a level as a number. ValueError: there is no level of this name."""
    if isinstance(level, str):
        if level not in LEVELS:
            raise ValueError("the levels are debug, info, warning, error, not '%s'" % level)
        return LEVELS[level]
    return level


class Records:
    """The newest `size` records; an older one is dropped for each that comes.

    Args:
        size: how many are kept.
        width: characters that are kept of a text.
        level: what is less than this is not taken, unless a reader wants it.
    """

    def __init__(self, size: int, width: int, level: int = 20) -> None:
        self._size = size
        self._width = width
        self._level = level
        self._kept: "list[tuple[int, int, str]]" = []
        self._end = 0  # the number of the record that comes next
        self._readers: "list[Reader]" = []

    def put(self, level: int, when_us: int, text: str) -> None:
        """Take a record; wakes the readers that want it."""
        readers = [reader for reader in self._readers if level >= reader.level]
        if level < self._level and not readers:
            return
        if len(self._kept) == self._size:
            self._kept.pop(0)
        if len(text) > self._width:
            text = text[: self._width - 2] + ".."
        self._kept.append((level, when_us, text))
        self._end += 1
        for reader in readers:
            reader.wake()

    def reader(self, level: int, wake: "Callable[[], object]") -> "Reader":
        """Return a reader, which begins with the oldest record; `close` it."""
        reader = Reader(self, level, wake)
        self._readers.append(reader)
        return reader

    def next(self, reader: "Reader") -> "list[Any] | None":
        """Return the next record of this reader, see Reader.take."""
        first = self._end - len(self._kept)
        if reader.at < first:
            reader.lost += first - reader.at
            reader.at = first
        while reader.at < self._end:
            level, when_us, text = self._kept[reader.at - first]
            reader.at += 1
            if level >= reader.level:
                lost, reader.lost = reader.lost, 0
                return [level, when_us, text, lost]
        return None

    def remove(self, reader: "Reader") -> None:
        """Forget a reader."""
        self._readers.remove(reader)


class Reader:
    """A place among the records. `wake` is called when there is one of `level` or above."""

    def __init__(self, records: Records, level: int, wake: "Callable[[], object]") -> None:
        self._records = records
        self.level = level
        self.wake = wake
        self.at = 0  # the number of the record that it wants
        self.lost = 0

    def take(self) -> "list[Any] | None":
        """Return the next record: level, time (µs), text, number of records lost before it.

        None: there is none now. Records that are lost are counted whatever their level is.
        """
        return self._records.next(self)

    def close(self) -> None:
        """Want nothing any more."""
        self._records.remove(self)
