"""Apps that tests put into a tree; `log` tells what has happened to them."""

from _helpers import forever

from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd

log = []


class Plain(BaseCmd):
    """Commands only."""

    def __init__(self, settings=None):
        log.append(["plain", settings])
        self.settings = settings

    async def cmd_get(self):
        return self.settings


class Bare(BaseCmd):
    """Takes no settings."""

    async def cmd_get(self):
        return "bare"


class Runs(BaseCmd):
    """Has a task, set-up and tear-down; its settings say what goes wrong."""

    def __init__(self, settings=None):
        self.settings = settings = settings or {}
        self.name = settings.get("name", "x")
        self.go = settings.get("gate")

    @rt.asynccontextmanager
    async def _ctx(self):
        log.append(self.name + " set-up")
        if "setup" in self.settings:
            raise ValueError(self.settings["setup"])
        if self.go is not None:
            await gates[self.go].wait()
        try:
            yield self
        finally:
            log.append(self.name + " tear-down")
        await rt.sleep_ms(0)  # it may wait, unless it is cancelled
        if "slow" in self.settings:
            await gates[self.settings["slow"]].wait()
        log.append(self.name + " gone")

    async def run(self):
        log.append(self.name + " runs")
        if "fail" in self.settings:
            raise ValueError(self.settings["fail"])
        if "done" in self.settings:
            return
        if "until" in self.settings:
            await gates[self.settings["until"]].wait()
            raise OSError(5)
        await forever(log, self.name + " cancelled")

    async def cmd_name(self):
        return self.name

    async def stream_names(self, st):
        await st.send(self.name)


class Told(Runs):
    """Takes new settings as it runs."""

    async def updated(self, settings):
        if "refuse" in settings:
            raise ValueError("no")
        log.append("told")
        self.settings = settings


class Fails(BaseCmd):
    """Cannot even be made."""

    def __init__(self):
        raise ValueError("not today")


class Restless(BaseCmd):
    """Has itself started anew, once."""

    async def run(self):
        log.append("runs")
        if len(log) == 1:
            await self.cmd_upd_()


class Clumsy(BaseCmd):
    """Fails when it is torn down."""

    @rt.asynccontextmanager
    async def _ctx(self):
        yield self
        log.append("fails")
        raise ValueError("clumsy")


class Swallows(BaseCmd):
    """Its context hides the error of its task."""

    @rt.asynccontextmanager
    async def _ctx(self):
        try:
            yield self
        except ValueError:
            log.append("swallowed")

    async def run(self):
        raise ValueError("hidden")


class Once(BaseCmd):
    """Is up once; then its set-up takes a minute, and fails."""

    @rt.asynccontextmanager
    async def _ctx(self):
        log.append("set-up")
        if len(log) > 1:
            await rt.sleep_ms(60000)
            raise ValueError("no more")
        yield self

    async def run(self):
        await gates["g"].wait()
        raise OSError(5)


class Stuck(BaseCmd):
    """Its tear-down takes for ever."""

    @rt.asynccontextmanager
    async def _ctx(self):
        yield self
        await forever(log, "tear-down cancelled")


class NotACommand:
    """Of another kind."""


gates = {}


def gate(name):
    """Return a new event that apps can wait for by this name."""
    gates[name] = rt.Event()
    return gates[name]


def fresh():
    """Forget what has happened."""
    log.clear()
    gates.clear()
    return log


def swap(name):
    """Return an event that apps wait for, and put a new one in its place."""
    old = gates[name]
    gate(name)
    return old


async def call(root, path, *args, **kw):
    """Call a command of a tree."""
    return await root.find(path)(*args, **kw)


async def state(root, *path):
    """Return the state of a node."""
    return (await call(root, list(path) + ["rdy_"]))["state"]  # noqa: RUF005


def one(cls="Runs", **settings):
    """Return the config of a single app, `a`."""
    return {"apps": {"a": "_apps:" + cls}, "a": settings}
