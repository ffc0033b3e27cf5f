"""Starts the apps that the config names; safe mode.

Safe mode is the bare stack: the apps sys, cfg and run, and neither main() nor what is in /app.
The reason is in sys.info. What leads to it:

* the config cannot be read, or makes no sense;
* an app cannot be loaded at the start, or has failed for good (see cmd._entries, `restart`);
* the device has started three times in a row without being up for ten seconds, or ending in
  order. Then main.py is not run, either. A file counts these starts; so a reset by a watchdog is
  noticed on any board, as is the loss of power.

Nothing is started anew in safe mode: the next start of the device tries the apps again; after
three bad starts, the next one after ten seconds of safe mode.
"""

import os
import sys

from moat.micro import rt, serve
from moat.micro.report import report
from moat.micro.startup import root, start_all

BARE = ("cfg", "host", "run", "sys")  # the apps of safe mode; no other app has their names

_STARTS = 3  # in a row that may go wrong
_GOOD_MS = 10000  # a start that has lasted so long is a good one
_SETTLE_MS = 1000  # so long a host waits for apps that are being set up

_ONCE = ("cmd._entries", "cmd.config", "net.kinds", "proto._reconnect", "stacks")

_crashed = False
_tree = _tasks = None


def boot():
    """Start everything, and count that."""
    try:
        start_all(_count())
    except KeyboardInterrupt:
        if "moat.micro.watchdog" in sys.modules:
            sys.modules["moat.micro.watchdog"].rest()
        raise
    finally:  # an interrupt, or the end of the program: no crash
        forget()


async def begin(apps, tasks):
    """Start the apps, and wait a moment until they are set up. Returns the root.

    Args:
        apps: what is to be there beside them.
        tasks: the group of tasks for all that.
    """
    global _tasks
    _tasks = tasks
    tasks.start_soon(_good)
    entries, name, watchdog, ports = _config()
    if watchdog is not None:
        tasks.start_soon(watchdog)
    if entries or serve.safe_mode is not None:
        top = await _start(entries, apps, name)
    else:
        top = serve.Root(apps, name)  # what there are no apps for is not loaded
    if ports:
        from moat.micro.ports import serve as serve_port

        for port in ports:
            tasks.start_soon(serve_port, port, top, top.device)
    _unload()
    return top


async def _start(entries, apps, name):
    global _tree
    from moat.micro.cmd.apps import Tree

    started = rt.Event()
    _tree = Tree(entries, apps, _failed, name)
    if serve.safe_mode is not None:
        _strip()
    _tasks.start_soon(_run, _tree, started)
    await started.wait()
    try:
        async with rt.timeout_ms(_SETTLE_MS):
            await _tree.settled()
    except rt.TimeoutError:
        pass  # they take longer; who calls them is told
    return _tree


def _unload():
    """Forget the modules that have read the config: they take 3 KB; who needs them loads them."""
    for name in _ONCE:
        if sys.modules.pop("moat.micro." + name, None):
            package, _, name = ("moat.micro." + name).rpartition(".")
            delattr(sys.modules[package], name)


async def apply(entries):
    """Go over to a new config; returns False when that takes a new start."""
    if serve.safe_mode is not None or _tree is None:
        return False
    await _tree.update(entries)
    return True


def config_file():
    """Return the device's ConfigFile."""
    from moat.micro.cmd.config import ConfigFile

    return ConfigFile(root() + "moat.cfg")


def _config():
    """Return what the config says: apps, the device's name, a task for a watchdog, ports."""
    nothing = {}, None, None, ()
    if _crashed:
        _safe("the device has started %d times in a row without success%s" % (_STARTS, _bitten()))
        return nothing
    from moat.micro.cmd._entries import device_name, parse

    try:
        cfg = config_file().load()
        entries = parse(cfg, "", BARE)
        name, ports = device_name(cfg), _ports(cfg)
        return entries, name, _watchdog(cfg), ports  # the watchdog last: who else would feed it
    except Exception as exc:  # whatever it is, the stack has to come up
        _safe("%s: %s" % (type(exc).__name__, exc))
        return nothing


def _ports(cfg):
    if "serve" not in cfg or "serve" in (cfg.get("apps") or {}):
        return ()
    from moat.micro import ports

    return ports.read(cfg["serve"])


def _watchdog(cfg):
    """Start a watchdog; returns the function that feeds it. None: there is to be none."""
    if "watchdog" not in cfg or "watchdog" in (cfg.get("apps") or {}):
        return None
    from moat.micro import watchdog

    return watchdog.start(cfg["watchdog"])


def _bitten():
    try:
        from machine import WDT_RESET, reset_cause
    except (AttributeError, ImportError):  # no board, or one that does not tell
        return ""
    return ", at last it was reset by a watchdog" if reset_cause() == WDT_RESET else ""


async def _run(tree, started):
    async with tree:
        started.set()
        await rt.Event().wait()


def _failed(name, reason):
    if _safe("the app '%s' has failed: %s" % (name, reason)):
        _strip()
        _tasks.start_soon(_tree.update, {})


def _strip():
    for name in list(_tree.sub):
        if name not in BARE:
            del _tree.sub[name]
    _tree.note = "safe mode: %s" % serve.safe_mode  # whoever looks for one of these is told


def _safe(reason):
    if serve.safe_mode is not None:
        return False
    serve.safe_mode = reason
    report("safe mode: %s" % reason)
    return True


def _count():
    """Note that the device starts; returns False when that has gone wrong too often."""
    global _crashed
    starts = 0
    try:
        starts = os.stat(_counter())[6]
    except OSError:
        pass  # the last end was a good one
    _crashed = starts >= _STARTS
    if not _crashed:
        # A byte for each start: whenever the power fails, this is still a number.
        try:
            with open(_counter(), "ab") as file:
                file.write(b".")
        except OSError as exc:
            report("starts cannot be counted", exc)  # the disk is full: go on
    return not _crashed


async def _good():
    await rt.sleep_ms(_GOOD_MS)
    forget()


def forget():
    """This start was a good one, although the end may not look like it."""
    try:
        os.remove(_counter())
    except OSError:
        pass  # it is forgotten already


def _counter():
    return root() + "moat.starts"
