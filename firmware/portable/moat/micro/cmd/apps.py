"""The tree of the apps that a config names: see _entries for the config, keeper for an app.

    async with build(cfg) as root:
        …                   # the apps are started
                            # now all of them have stopped

Leaving it stops them, and waits for that: an app may take five seconds to tear down. Where the
tree is cancelled, so are they.
"""

import sys

from moat.micro import rt
from moat.micro.cmd.keeper import Keeper
from moat.micro.cmd.tree import Dispatch
from moat.micro.const import const
from moat.micro.errors import InUseError, LinkError, NotReadyError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Awaitable, Callable
    from typing import Any

# Of several apps, what stands for all.
_WORST = ("failed", "starting", "stopping", "down", "ready")


class Apps(Dispatch):
    """A directory of apps, or an array: then their names are numbers.

    Args:
        entries: name -> an app's entry or a dict of such, as from _entries.parse.
        name: its dotted path.
        tree: the root.
    """

    def __init__(self, entries: "dict[Any, Any]", name: str, tree: "Any") -> None:
        super().__init__({})
        self.keeper = self
        self.name = name
        self.tree = tree
        self._tasks: "Any" = None
        self.kept: "dict[Any, Any]" = {}
        for key, entry in entries.items():
            self._add(key, entry)

    def _add(self, key, entry):
        name = "%s.%s" % (self.name, key) if self.name else str(key)
        cls: "Any" = Apps if isinstance(entry, dict) else Keeper
        node = cls(entry, name, self.tree)
        self.kept[key] = node
        return node

    def child(self, name: "Any") -> "Any":
        """Return the node below, or None; a Keeper where an app is not up."""
        node = self.kept.get(name)
        if node is None:
            return Dispatch.child(self, name)
        return node.node

    def loaded(self, name: "Any") -> "Any":
        """See BaseCmd.loaded."""
        return self.child(name) if name in self.kept else Dispatch.loaded(self, name)

    def is_link(self, name: "Any") -> bool:
        """See BaseCmd.is_link; known by the name of its class, since it may be down."""
        if name not in self.kept:
            return Dispatch.is_link(self, name)
        entry = getattr(self.kept[name], "entry", None)
        return entry is not None and entry[0].endswith("Link")

    def children(self) -> "list[Any]":
        """Return the names of the nodes below."""
        return list(self.kept) + [name for name in self.sub if name not in self.kept]

    @property
    def node(self) -> "Apps":
        """What stands for this in the tree."""
        return self

    async def ready(self, wait: bool = False) -> "dict[str, Any]":
        """See BaseCmd.cmd_rdy_. `apps` has the states of those that are not ready."""
        others = {}
        states = []
        for key in list(self.kept):
            node = self.kept.get(key)
            if node is not None:
                status = await node.ready(wait)
                states.append(status["state"])
                if status["state"] != "ready":
                    others[key] = status
        if not others:
            return {"state": "ready"}
        return {"state": [s for s in _WORST if s in states][0], "apps": others}

    async def settled(self) -> None:
        """Wait until the first start of each has succeeded or failed."""
        for node in list(self.kept.values()):
            await node.settled()

    def begin(self, tasks: "Any") -> None:
        """Start all."""
        self._tasks = tasks
        for node in self.kept.values():
            node.begin(tasks)

    def end(self) -> None:
        """All tasks have ended, and there will be no more."""
        self._tasks = None
        for node in self.kept.values():
            node.end()

    async def stop(self) -> None:
        """Stop all, at the same time; returns when they are torn down."""
        async with rt.TaskGroup() as tasks:
            for node in self.kept.values():
                tasks.start_soon(node.stop)

    async def update(self, entries: "dict[Any, Any] | None" = None) -> None:
        """Go over to new entries; what has not changed goes on. None: start all anew.

        It is done all the same when this is cancelled.
        """
        await self.tree.apart(self.replace, entries)

    async def replace(self, entries: "dict[Any, Any] | None") -> None:
        """Do what `update` says, in this task."""
        if entries is None:
            for node in list(self.kept.values()):
                await node.replace(None)
            return
        for key in list(self.kept):
            if key not in entries or isinstance(entries[key], dict) != self._is_dir(key):
                await self.kept.pop(key).stop()
        for key, entry in entries.items():
            if key in self.kept:
                await self.kept[key].replace(entry)
            else:
                node = self._add(key, entry)
                if self._tasks is not None:
                    node.begin(self._tasks)

    def _is_dir(self, key):
        return isinstance(self.kept[key], Apps)


class Tree(Apps):
    """The root of a tree of apps; an async context manager in which they run.

    Args:
        entries: as from _entries.parse.
        sub: further nodes, as for DirCmd, that are there as they are.
        on_failed: called with the dotted name of an app that has failed for good, and why.
        device: name of this device, for traces; by default that of the platform.
    """

    def __init__(
        self,
        entries: "dict[Any, Any]",
        sub: "dict[str, Any] | None" = None,
        on_failed: "Callable[[str, str], object] | None" = None,
        device: "str | None" = None,
    ) -> None:
        super().__init__(entries, "", self)
        self.device = device or sys.platform
        self.sub.update(sub or {})
        self._on_failed = on_failed
        self._cm: "Any" = None

    def failed(self, name: str, reason: str) -> None:
        """An app has failed for good."""
        if self._on_failed is not None:
            self._on_failed(name, reason)

    async def is_ready(self, name: str) -> bool:
        """Wait until an app is ready; False: it is stopped, has failed, or is gone."""
        node: "Any" = self
        try:
            for part in name.split("."):
                node = node.kept[part if part in node.kept else int(part)]
            await node.cmd_rdy_(True)
        except (KeyError, ValueError, NotReadyError, LinkError):
            return False
        return True

    async def apart(self, fn: "Callable[..., Awaitable[object]]", *args: "Any") -> None:
        """Wait for ``fn(*args)``, which runs in a task of its own while the tree is open.

        For who stops an app: this may end the caller, an app itself or a call over its link, and
        yet has to be done to its end.
        """
        if self._tasks is None:
            await fn(*args)
            return
        done = rt.Event()
        self._tasks.start_soon(_call, done, fn, args)
        await done.wait()

    async def __aenter__(self) -> "Tree":
        """Start the apps. InUseError: they are started already."""
        if self._cm is not None:
            raise InUseError("the apps are started already")
        self._cm = self._ctx()
        return await self._cm.__aenter__()

    async def __aexit__(self, et: "Any", exc: "Any", tb: "Any") -> "bool | None":
        """Stop the apps."""
        try:
            return await self._cm.__aexit__(et, exc, tb)
        finally:
            self._cm = None

    @rt.asynccontextmanager
    async def _ctx(self):
        try:
            async with rt.TaskGroup() as tasks:
                self.begin(tasks)
                yield self
                await self.stop()
        finally:
            self.end()


async def _call(done, fn, args):
    try:
        await fn(*args)
    finally:
        done.set()


def build(
    cfg: "Any", sub: "dict[str, Any] | None" = None, reserved: "tuple[str, ...]" = (), **kw: "Any"
) -> Tree:
    """Return the tree of the apps in a config; it is not entered yet.

    Args:
        cfg: the config, see _entries.
        sub: further nodes beside the apps, which cannot have their names.
        reserved: more names that apps cannot have.
        kw: further arguments of Tree.

    ValueError: the config makes no sense.
    """
    from moat.micro.cmd._entries import device_name, parse

    entries = parse(cfg, "", tuple(sub or ()) + reserved)
    return Tree(entries, sub, device=device_name(cfg), **kw)
