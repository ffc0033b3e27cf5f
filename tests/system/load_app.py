"""An app with everything that a link carries; hosts and devices serve it to each other."""

from moat.micro import rt
from moat.micro.cmd.here import current
from moat.micro.cmd.tree import BaseCmd


def _call():
    call = current()
    assert call is not None
    return call


def _at_caller(name):
    """Return the link that leads to a command of this app of the caller, and its path there."""
    call = _call()
    path = list(call.return_path)
    path += ["load", name]
    link, n = call.link.root.find(path)
    return link, path[n:]


class App(BaseCmd):
    """Calls and streams, in both directions."""

    def __init__(self):
        self.running = self.noted = 0

    async def cmd_echo(self, x):
        return x

    async def cmd_fail(self, text):
        raise ValueError(text)

    async def cmd_note(self):
        """Be called without a reply."""
        self.noted += 1

    async def cmd_count(self):
        """Return how often that was."""
        return self.noted

    async def cmd_wait(self):
        """Wait to be cancelled, and take a moment then."""
        self.running += 1
        try:
            await rt.Event().wait()
        finally:
            try:
                async with rt.grace_ms(100):
                    await rt.sleep_ms(1)
            finally:
                self.running -= 1

    async def stream_out(self, st, n, size=0):
        """Send the numbers below `n`, each with so many bytes."""
        self.running += 1
        try:
            for i in range(n):
                await st.send([i, bytes(size)])
            return n
        finally:
            self.running -= 1

    async def stream_into(self, st):
        """Return the sum of what is sent."""
        self.running += 1
        total = 0
        try:
            async for value in st:
                total += value
            return total
        finally:
            self.running -= 1

    async def stream_both(self, st):
        """Send back what is sent."""
        self.running += 1
        try:
            async for value in st:
                await st.send(value)
        finally:
            self.running -= 1

    async def stream_ticks(self, st, ms):
        """Send the number of each period."""
        self.running += 1
        try:
            async for i in st.every(ms):
                await st.send(i)
        finally:
            self.running -= 1

    # ---- calls to the caller

    async def cmd_call_back(self, x):
        link, path = _at_caller("echo")
        return await link.call(path, x)

    async def cmd_cancel_back(self, ms):
        """Call something that does not end, for some time."""
        link, path = _at_caller("wait")
        with rt.CancelScope() as scope:
            async with rt.TaskGroup() as tasks:
                tasks.start_soon(_cancel, scope, ms)
                await link.call(path)

    async def cmd_out_back(self, n, some):
        """Read the first `some` of `n` values of a stream; return how many there were."""
        link, path = _at_caller("out")
        got = 0
        async with link.stream(path, n) as st:
            async for i, _ in st:
                if i != got:
                    raise AssertionError(i, got)
                got += 1
                if got == some:
                    break
        return got

    async def cmd_into_back(self, n):
        """Send the numbers below `n`; return what comes out of it."""
        link, path = _at_caller("into")
        async with link.stream(path) as st:
            for i in range(n):
                await st.send(i)
            await st.finish()
            async for _ in st:
                pass
            return st.result

    # ---- what is left

    async def cmd_left(self, path=None):
        """Tell what is open on a link, that of this call or the one at `path`; all but this call.

        Of commands, of calls of ours and of the peer, of messages, of tasks, of scopes.
        """
        link, own = _call().link, 1
        if path is not None:
            path += ["load", "echo"]
            link, own = link.root.find(path)[0], 0
        core = link.core
        tasks = len(getattr(link.tasks, "_tasks", ()))
        scopes = len(getattr(rt, "_open", ()))
        return [
            self.running,
            len(core.calls),
            len(core.served) - own,
            len(core.out),
            tasks,
            scopes,
        ]


async def _cancel(scope, ms):
    await rt.sleep_ms(ms)
    scope.cancel()
