"""What the benchmarks call on the device."""

from moat.micro.cmd.tree import BaseCmd


class App(BaseCmd):
    """Streams as fast as they go."""

    async def stream_numbers(self, st, n):
        """Send the numbers below `n`."""
        for i in range(n):
            await st.send(i)

    async def stream_blocks(self, st, n, size):
        """Send `n` blocks of bytes."""
        block = bytes(size)
        for _ in range(n):
            await st.send(block)

    async def stream_sink(self, st):
        """Take blocks of bytes; returns how many bytes there were."""
        n = 0
        async for block in st:
            n += len(block)
        return n
