"""The commands of `sys` that are rarely used."""

import asyncio
import gc

from moat.micro import rt
from moat.micro.app.common import CommonCmd
from moat.micro.startup import has_config

_REPLY_MS = 500  # a reply that nobody takes does not keep us from the reset
_LAST_MS = 50  # what is below the stack sends its last bytes
_STEP_MS = 5


class SysMore(CommonCmd):
    """About the device itself."""

    def __init__(self):
        self._scope = {}

    async def cmd_set_time(self, us):
        """Set the time of day to `us`, microseconds since the beginning of 1970, UTC.

        The board's clock is set too, where there is one. A process keeps it for itself.
        """
        from moat.micro.clock import set_unix_us

        set_unix_us(us)

    async def cmd_mem(self):
        """Return the bytes of the heap that are `free`, and allocated (`alloc`)."""
        return {"free": gc.mem_free(), "alloc": gc.mem_alloc()}

    async def cmd_gc(self):
        """Collect garbage, then return the same as `mem`."""
        gc.collect()
        return await self.cmd_mem()

    async def cmd_eval(self, expr):
        """Return the value of a Python expression; waits for it where it is a coroutine.

        It sees what `exec` has defined. Raises what it raises, and SyntaxError.
        """
        value = eval(expr, self._scope)  # noqa: S307 -- that is what it is for
        return await value if rt.is_coroutine(value) else value

    async def cmd_exec(self, code):
        """Carry out Python statements; what they define stays for `eval` and `exec`.

        Raises what they raise, and SyntaxError.
        """
        exec(code, self._scope)  # noqa: S102

    async def cmd_reset(self, hard=False):
        """Reply, then reset: the interpreter, or the whole board if `hard`.

        The link to a board stays. A process starts its image anew on the same standard input
        and output, or if `hard` ends with status 0, as an emulator does.
        """
        _after_reply(_hard if hard else _soft)

    async def cmd_bootloader(self):
        """Reply, then start the board's boot loader, which takes a new image.

        NotImplementedError: this board has none that can be started so.
        """
        try:
            from machine import bootloader
        except ImportError:
            raise NotImplementedError("this board has no boot loader that it could start")
        _after_reply(bootloader)


def _after_reply(reset):
    """Call `reset` when the task that runs now, and sends the reply, has ended."""
    task = asyncio.current_task()

    async def wait():
        for _ in range(_REPLY_MS // _STEP_MS):
            if task.done():
                break
            await asyncio.sleep_ms(_STEP_MS)
        await asyncio.sleep_ms(_LAST_MS)
        if has_config():
            from moat.micro import launch

            launch.forget()
        reset()

    asyncio.create_task(wait())  # noqa: RUF006 -- MicroPython's loop keeps it


def _soft():
    from _port import restart

    restart()
    raise SystemExit  # which is a soft reset on a board


def _hard():
    try:
        from machine import reset
    except ImportError:
        raise SystemExit
    reset()
