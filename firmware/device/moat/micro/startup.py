"""Start-up: the user's main.py, then the stack on the console port.

* A synchronous main.py runs first. It may start the stack itself, with ``moat.micro.start()``;
  else the stack starts when it returns, or raises.
* ``async def main()`` in it runs as a task beside the stack.
* Each file NAME.py in /app whose class is called App is served as the app NAME; it is imported
  when it is first used.
* The apps that the config names, in the file moat.cfg, are started with the stack; without such a
  file nothing is loaded for that. See moat.micro.launch, also for safe mode.
"""

import gc
import os
import sys

from moat.micro import rt
from moat.micro.const import const

# Bytes that are allocated between two collections: else garbage fills all of the heap, and what is
# allocated then and stays, high up, cuts the free memory in two.
_GARBAGE = const(65536)

_started = False  # main.py has started the stack


def start(apps=None, main=None, stack=None):
    """Run the stack on the console port, until the port closes or a Ctrl-C arrives.

    Args:
        apps: name -> app object, or "module:Class"; beside those in /app.
        main: coroutine function to run beside the stack.
        stack: its layers, as a config of stacks.build_stack, whose link is the console port. A
            ReliableMsg is persistent there: hosts come and go.

    Raises:
        ConfigError: such a config makes no sense.
        KeyboardInterrupt: a Ctrl-C has arrived.
    """
    global _started
    _started = True
    from moat.micro import serve

    try:
        rt.run(serve.serve, _apps(apps), main, stack)
    finally:  # a KeyboardInterrupt leaves the loop without any clean-up
        serve.release()


def boot():
    """What the image does after power-on."""
    sys.modules["moat.micro"].start = start
    if root():
        gc.threshold(_GARBAGE)
    if not has_config():
        start_all()
        return
    from moat.micro import launch

    launch.boot()


def start_all(main=True):
    """Run the user's main.py, unless `main` is false, and the stack."""
    main = user_main() if main else None
    if not _started:
        start(main=main)


def has_config():
    """Whether there is a config, or one that has just been written."""
    return bool({"moat.cfg", "moat.cfg.new"} & set(_listdir(root() or ".")))


def root():
    """Return the folder of the user's files, with a slash at its end."""
    return "" if sys.platform in ("linux", "darwin") else "/"


def _listdir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def _apps(more):
    apps = {
        "cfg": "moat.micro.app.cfg:CfgCmd",
        "host": "moat.micro.app.host:HostLink",
        "run": "moat.micro.app.run:RunCmd",
        "sys": "moat.micro.app.sys:SysCmd",
    }
    for name in _listdir(root() + "app"):
        if name.endswith((".py", ".mpy")):
            name = name.rsplit(".", 1)[0]
            apps[name] = "app.%s:App" % name
    apps.update(more or {})
    return apps


def user_main(name="main"):
    """Run the user's main.py; returns its ``async def main`` if it has one."""
    if not {name + ".py", name + ".mpy"} & set(_listdir(root() or ".")):
        return None
    try:
        main = __import__(name)
    except Exception as exc:  # the user's: it shall not keep the stack from starting
        from moat.micro.log import failed

        failed(name + ".py", exc)
        return None
    return getattr(main, "main", None)
