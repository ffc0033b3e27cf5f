"""Apps on the simulated board, and who calls them over a link."""

from _apps import call
from _commands import linked

import moat.micro.sim.board as board
from moat.micro import rt
from moat.micro.cmd.apps import build


class Caller:
    """Calls the app `a` over a link; `root` is its tree."""

    def __init__(self, root, near):
        self.root = root
        self.near = near

    def call(self, name, *args, **kw):
        return self.near.call(["a", name], *args, **kw)

    def stream(self, name, *args, **kw):
        return self.near.stream(["a", name], *args, **kw)


@rt.asynccontextmanager
async def app(spec, **settings):
    """Give a Caller of an app on a new board."""
    board.reset()
    async with build({"apps": {"a": "moat.micro.app." + spec}, "a": settings}) as root:
        await root.kept["a"].ready(True)  # it is set up; a network may not be there yet
        async with linked(root) as (near, _):
            yield Caller(root, near)


async def refused(spec, **settings):
    """Return why an app does not start with these settings."""
    board.reset()
    cfg = {"apps": {"a": "moat.micro.app." + spec}, "a": settings}
    cfg["a"]["restart"] = False
    async with build(cfg) as root:
        while True:
            status = await call(root, ["a", "rdy_"])
            if "error" in status:
                return status["error"]
            await rt.sleep_ms(0)
