"""Runs a program that the host sends, beside the stack."""

import sys

from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd

_MAX = 32768  # bytes of a program


class RunCmd(BaseCmd):
    """Takes a program in pieces, then runs it. One at a time."""

    def __init__(self):
        self._source = bytearray()

    async def cmd_put(self, offset, data):
        """Append `data` to the program; `offset` is its length so far, 0 starts a new one."""
        if offset == 0:
            self._source = bytearray()
        if offset != len(self._source):
            raise ValueError("offset %d, but there are %d bytes" % (offset, len(self._source)))
        if offset + len(data) > _MAX:
            raise ValueError("a program has at most %d bytes" % _MAX)
        self._source.extend(data)
        return len(self._source)

    async def cmd_start(self, name):
        """Run the program: its top level, then its ``async def main()`` if there is one.

        Ends when the program does; cancelling it cancels main(). Its traceback goes to the
        console, its error to the caller.
        """
        source = str(self._source, "utf-8")
        self._source = bytearray()
        scope = {"__name__": "__main__"}
        try:
            exec(compile(source, name, "exec"), scope)  # noqa: S102 -- that is what it is for
            main = scope.get("main")
            main = main() if main is not None else None
            if rt.is_coroutine(main):
                await main
        except SystemExit:
            pass  # it said that it is done
        except Exception as exc:
            sys.print_exception(exc)
            raise
