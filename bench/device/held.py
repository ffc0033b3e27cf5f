"""Calls and streams that stay open while the benchmarks look at the heap."""

from moat.micro import rt
from moat.micro.cmd.here import current
from moat.micro.cmd.tree import BaseCmd


def link():
    """Return the link on which the call has come."""
    call = current()
    assert call is not None
    return call.link


class App(BaseCmd):
    """What is held here, and what this device holds at its host, ends with `release`."""

    def __init__(self):
        self.count = 0
        self._never = rt.Event()
        self._tasks = []

    async def _wait(self):
        self.count += 1
        try:
            await self._never.wait()
        finally:
            self.count -= 1

    async def cmd_count(self):
        """Return how many are held."""
        return self.count

    async def cmd_release(self):
        """End all that this device has begun."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    def _start(self, n, fn, *args):
        tasks = link().tasks
        for _ in range(n):
            self._tasks.append(tasks.start_soon(fn, *args))

    def cmd_wait(self):
        """Wait to be cancelled."""
        return self._wait()

    async def stream_out(self, st):
        """Send something, and wait to be cancelled."""
        await st.send(0)
        await self._wait()

    async def stream_into(self, st):
        """Receive until cancelled."""
        self.count += 1
        try:
            async for _ in st:
                pass
        finally:
            self.count -= 1

    async def cmd_tasks(self, n):
        """Have tasks that wait, and do nothing else."""
        self._start(n, self._wait)

    async def cmd_calls(self, n):
        """Have tasks that wait for calls to the host."""
        self._start(n, link().call, ("held", "wait"))

    async def cmd_streams(self, n, name):
        """Have tasks that wait in streams from the host, or to it."""
        self._start(n, getattr(self, "_" + name), link())

    async def _out(self, host):
        async with host.stream(("held", "out")) as st:
            await st.recv()
            await self._wait()

    async def _into(self, host):
        async with host.stream(("held", "into")) as st:
            await st.send(0)
            await self._wait()
