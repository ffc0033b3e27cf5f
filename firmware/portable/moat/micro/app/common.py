"""Commands of `sys` that device and host have in common."""

from moat.micro import log, rt
from moat.micro._records import level_of
from moat.micro.clock import unix_us
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class CommonCmd(BaseCmd):
    """The time, and the log."""

    async def cmd_time(self) -> int:
        """Return the time of day: microseconds since the beginning of 1970, UTC."""
        return unix_us()

    async def stream_log(self, st: "Any", level: "int | str" = "info") -> None:
        """Send the log: [level, time, text, number of records dropped before this one].

        It begins with the records that are kept, and does not end. Levels are 10 (debug), 20
        (info), 30 (warning), 40 (error), or these names; `level` is the least that is sent.
        The time is that of `time` when it happened. Debug records are not kept while no reader
        wants them.

        ValueError: there is no such level.
        """
        changed = rt.Event()
        reader = log.records().reader(level_of(level), changed.set)
        try:
            while True:
                record = reader.take()
                if record is not None:
                    await st.send(record)
                else:
                    changed.clear()
                    await changed.wait()
        finally:
            reader.close()
