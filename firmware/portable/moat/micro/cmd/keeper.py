"""Keeper: starts, stops and restarts one app, and stands in for it while it is not up.

The app's settings are the argument of its constructor; one without settings gets none. What an
app may have beside its commands:

    @rt.asynccontextmanager
    async def _ctx(self):           # set-up and tear-down, around all of the rest
        …
        yield self

    async def run(self):            # its task; when it returns, the commands are still there
        …

    async def updated(self, settings):      # new settings; else the app is started anew
        …
"""

import moat.micro.errors as errors
from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd, load
from moat.micro.const import const
from moat.micro.report import report

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

TEAR_DOWN_MS = 5000  # what takes longer is cancelled
_AGAIN_MS = const(100)  # until we look again whether an app that has failed is back


class StandIn(BaseCmd):
    """A node in place of one that is not there: it has the commands that every node has.

    Whatever else is asked of it raises what `why` returns.
    """

    def why(self) -> Exception:
        """Return the error that says why it is not there."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> "Any":
        """Say why there are no commands, when one is looked for."""
        if name.startswith(("cmd_", "stream_")):
            raise self.why()
        raise AttributeError(name)

    def names(self, prefix: str) -> "list[str]":
        """Return the names of our own methods; dir() of this object would ask for all others."""
        n = len(prefix)
        return sorted([name[n:] for name in dir(type(self)) if name.startswith(prefix)])

    def child(self, name: "Any") -> "Any":
        """Raises `why`: what is below is not there."""
        raise self.why()


class Keeper(StandIn):
    """The lifecycle of one app.

    Its `state` is one of

        starting    it is set up, or waits to be started anew after an error
        ready
        stopping    it is torn down
        down        it is stopped
        failed      so often that it is not started again, or it cannot even be loaded

    An app that only has commands gets no task.

    Args:
        entry: as from _entries.parse.
        name: its dotted path.
        tree: what to tell when it has failed for good: `tree.failed(name, reason)`.
    """

    def __init__(self, entry: "tuple[Any, ...]", name: str, tree: "Any") -> None:
        self.keeper = self
        self.name = name
        self.app: "Any" = None
        self.state = "down"
        self.error: "BaseException | None" = None  # the last one
        self.restarts = 0  # in a row
        self.waits_for: "str | None" = None  # the app that has to be ready first
        self.tree = tree
        self._tasks: "Any" = None
        self._lock: "Any" = None  # made when it is needed
        self._changed = rt.Event()
        self._whole: "Any" = None  # the scope of set-up, run and tear-down
        self._scope: "Any" = None  # what `stop` cancels
        self._wanted = False  # it shall be up
        self._running = False  # it has a task
        self._since: "Any" = None  # of being up
        self._take(entry)

    def _take(self, entry):
        self.entry = entry
        self._spec, self._settings, self._restart, self._lazy, self._needs = entry
        self._backoff: "Any" = None  # since the first failure

    @property
    def node(self) -> "Any":
        """What stands for the app in the tree. ImportError: a lazy one cannot be loaded."""
        if self.state != "ready":
            return self
        if self.app is None:
            try:
                self._load()
            except Exception as exc:  # the user's: to the caller in short, in full to the user
                report("the app '%s' cannot be loaded" % self.name, exc)
                raise ImportError("the app '%s' cannot be loaded: %s" % (self.name, _text(exc)))
        return self.app

    def why(self) -> Exception:
        """Return a NotReadyError."""
        text = "the app '%s' %s" % (self.name, _SAYS[self.state])
        if self.waits_for is not None:
            text = "the app '%s' waits for the app '%s'" % (self.name, self.waits_for)
        if self.error is not None:
            text = "%s: %s" % (text, _text(self.error))
        return errors.NotReadyError(text)

    # ---- what is asked of it

    async def ready(self, wait: bool = False) -> "dict[str, Any]":
        """See BaseCmd.cmd_rdy_."""
        if wait:
            while self.state in ("starting", "stopping"):
                await self._change()
            if self.state != "ready":
                raise self.why()
        status: "dict[str, Any]" = {"state": self.state}
        if self.waits_for is not None:
            status["waits_for"] = self.waits_for
        if self.restarts:
            status["restarts"] = self.restarts
        if self.error is not None:
            status["error"] = _text(self.error)
        return status

    async def cmd_rdy_(self, wait: bool = False) -> "dict[str, Any]":
        """See BaseCmd.cmd_rdy_. An app that is up may have more to say, as a link has."""
        status = await self.ready(wait)
        if self.state != "ready" or self.app is None:
            return status
        return await self.app.cmd_rdy_(wait)

    async def settled(self) -> None:
        """Wait until the first start has succeeded or failed, or waits for another app."""
        while self.state == "starting" and not self.restarts and self.waits_for is None:
            await self._change()

    def begin(self, tasks: "Any") -> None:
        """Start the app, with `tasks` for what runs; a lazy one waits to be used."""
        self._tasks = tasks
        self._start(True)

    def end(self) -> None:
        """All tasks have ended, and there will be no more."""
        self._tasks = self.app = None
        self._running = False
        self._set("down")

    async def stop(self) -> None:
        """Stop the app; returns when it is torn down."""
        async with self._locked():
            await self._stop()

    async def update(self, entry: "tuple[Any, ...] | None" = None) -> None:
        """Go over to a new entry: nothing happens if it is the old one. None: start anew.

        It is done all the same when this is cancelled.
        """
        await self.tree.apart(self.replace, entry)

    async def replace(self, entry: "tuple[Any, ...] | None") -> None:
        """Do what `update` says, in this task."""
        async with self._locked():
            if entry is None:
                entry = self.entry
            elif entry == self.entry or await self._told(entry):
                return
            await self._stop()
            self._take(entry)
            if self._tasks is not None:
                self._start(False)

    def _locked(self):
        if self._lock is None:
            self._lock = rt.Lock()
        return self._lock

    async def _told(self, entry):
        """Tell the app; returns False when it has to be started anew."""
        updated = getattr(self.app, "updated", None)
        if self.state != "ready" or updated is None or entry[0] != self._spec:
            return False
        self._take(entry)
        try:
            await updated(self._settings)
        except Exception as exc:  # the user's: a fresh start may do
            report("%s does not take its new settings" % self.name, exc)
            return False
        return True

    async def _stop(self):
        self._wanted = False
        if self._running:
            if self._scope is not None:
                self._scope.cancel()
            try:
                async with rt.timeout_ms(TEAR_DOWN_MS):
                    await self._gone()
            except rt.TimeoutError:
                if self._whole is not None:
                    self._whole.cancel()
                await self._gone()
        self.app = self.error = None
        self.restarts = 0
        self._set("down")

    async def _gone(self):
        while self._running:
            await self._change()

    # ---- the life of the app

    def _start(self, vital):
        self._backoff = None
        self._wanted = True
        if self._lazy:
            self._set("ready")
            return
        try:
            self._load()
        except Exception as exc:  # the user's
            self._failed(exc, vital)
            return
        if self._needs or _runs(self.app):
            self._running = True
            self._set("starting")
            self._tasks.start_soon(self._keep)
        else:
            self._set("ready")

    def _load(self):
        cls = load(self._spec)
        app = cls() if self._settings is None else cls(self._settings)
        if not isinstance(app, BaseCmd):
            raise TypeError("%s is no subclass of BaseCmd" % self._spec)
        if self._lazy and _runs(app):
            raise TypeError("%s has to run, it cannot be lazy" % self._spec)
        app.keeper = self
        self.app = app

    async def _keep(self):
        """Keep the app up until it is told to stop, or has failed for good."""
        failed = False
        try:
            while self._wanted and not failed:
                exc = await self._live()
                if self._wanted:
                    failed = await self._pause(exc or RuntimeError("it has ended by itself"))
                elif exc is not None:
                    report("%s has failed while it was stopped" % self.name, exc)
        finally:
            self._running = False
            self._set("down")
        if failed:
            self._failed(self.error, self._restart is not None)

    async def _pause(self, exc):
        """Wait until it is time to start the app anew; returns True when that time is over."""
        delay = self._delay(exc)
        if delay is None:
            return True
        report("%s has failed, restart %d in %d ms" % (self.name, self.restarts, delay), exc)
        self._set("starting")
        try:
            with rt.CancelScope() as self._scope:
                await rt.sleep_ms(delay)
        finally:
            self._scope = None
        return False

    async def _live(self):
        """Set up, run, tear down; returns the error, None when it was told to stop."""
        self._since = None
        try:
            with rt.CancelScope() as self._scope:
                self._whole = self._scope
                if self._needs:
                    await self._others()
                if self.app is None:
                    self._load()
                ctx = getattr(self.app, "_ctx", None)
                if ctx is None:
                    await self._run()
                else:
                    async with ctx():
                        await self._run()
        except Exception as exc:  # the user's: that is what we are here for
            return exc
        finally:
            self._whole = self._scope = self.app = self.waits_for = None
        return None

    async def _others(self):
        """Wait until the apps that we need are ready; also when one is stopped, or has failed."""
        for name in self._needs:
            self.waits_for = name
            self._changed.set()
            while not await self.tree.is_ready(name):
                await rt.sleep_ms(_AGAIN_MS)
        self.waits_for = None

    async def _run(self):
        try:
            # Of its own, so that the app can wait while it is torn down.
            with rt.CancelScope() as self._scope:
                if not self._wanted:
                    return
                self._since = rt.ticks_ms()
                self._set("ready")
                run = getattr(self.app, "run", None)
                if run is not None:
                    await run()
                await rt.Event().wait()
        finally:
            self._scope = None
            self._set("stopping")

    def _delay(self, exc):
        """How long to wait before the next start; None: it has failed for good."""
        now = rt.ticks_ms()
        if self._backoff is None:
            from moat.micro.cmd._entries import backoff

            self._backoff = backoff(self._restart or {})
        elif self._since is not None:
            self._backoff.broke(rt.ticks_diff(now, self._since))
        if not self._backoff.tries:
            self._down_since = now
        self.error = exc
        if self._restart is None:
            return None
        down_ms = rt.ticks_diff(now, self._down_since)
        delay = self._backoff.next(rt.random_bits(), down_ms)
        self.restarts = self._backoff.tries
        return delay

    def _failed(self, exc, vital):
        self.app = None
        self.error = exc
        report("%s has failed" % self.name, exc)
        self._set("failed")
        if vital and (self._restart or {}).get("essential", True):
            self.tree.failed(self.name, _text(exc))

    def _set(self, state):
        if state != self.state:
            self.state = state
            self._changed.set()

    async def _change(self):
        self._changed.clear()
        await self._changed.wait()


_SAYS = {
    "starting": "is being started",
    "ready": "is ready",
    "stopping": "is being stopped",
    "down": "is stopped",
    "failed": "has failed",
}


def _runs(app):
    return hasattr(app, "run") or hasattr(app, "_ctx")


def _text(exc):
    return "%s: %s" % (type(exc).__name__, exc)
