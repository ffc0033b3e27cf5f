"""The stack on the console port, with the user's program beside it."""

import sys

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import Dispatch
from moat.micro.const import const
from moat.micro.guard import Guard
from moat.micro.proto.file import StdioBuf
from moat.micro.startup import has_config

# A busy host may pause in the middle of a message; mpremote takes longer than this to start.
_GAP_MS = const(250)
# Calls of the host at a time, bytes of a stream on their way to us, bytes that are read at once.
_limits = (16, 4096, 256)
if sys.platform in ("linux", "darwin"):
    _limits = (90, 65536, 12288)

_guard = _codec = _port = None

safe_mode = None  # why only the bare stack runs
link = None  # to the host


async def serve(apps, main, stack):
    """Serve `apps` on the console port, and run `main` beside it, until the port closes."""
    global _guard, _codec, _port, link
    _port = StdioBuf()
    msg = _stack(stack)
    _codec = msg
    while not hasattr(_codec, "look_ahead"):
        _codec = _codec.parent
    async with rt.TaskGroup() as tasks:
        _guard = Guard(_port, _codec.look_ahead)
        on_session = None
        if stack is None:
            on_session = _guard.session  # only then a hello comes as it is, without a 3
        root = Root(apps)
        if has_config():
            from moat.micro import launch

            root = await launch.begin(apps, tasks)
            if safe_mode is not None:
                main = None
        cmd = CmdMsg(msg, root, None, _limits[0], _limits[1], on_session, ("host",), root.device)
        link = cmd
        async with cmd:
            if stack is not None:
                _guard.session(True)
            if _port.console is not None:
                tasks.start_soon(_forward, msg)
            if main is not None:
                tasks.start_soon(_run, main)
            await cmd.closed()
            await root.cmd_stp_()
            tasks.cancel()


def _stack(cfg):
    if cfg is None:  # the most frequent one needs no more than this
        from moat.micro.proto.msgpack import MsgpackMsgBuf

        return MsgpackMsgBuf(_port, gap_ms=_GAP_MS, chunk=_limits[2], ctrl_c=_interrupt)
    from moat.micro.stacks import build_stack

    defaults = {"ctrl_c": _interrupt, "gap_ms": _GAP_MS, "persistent": True, "chunk": _limits[2]}
    if not cfg.get("reliable"):  # else what was cut short is sent again
        defaults["max_idle"] = _GAP_MS
    stack = build_stack(cfg, _port, **defaults)
    # It has done its work, and takes half a KiB; who builds another stack loads it again.
    del sys.modules["moat.micro.stacks"]
    del sys.modules["moat.micro"].stacks
    return stack


class Root(Dispatch):
    """The apps by name; an error while one is loaded says so."""

    def __init__(self, apps, device=None):
        Dispatch.__init__(self, apps)
        self.device = device or sys.platform

    def child(self, name):
        """See BaseCmd.child."""
        if name not in self.sub:
            return None
        try:
            return Dispatch.child(self, name)
        except Exception as exc:  # the user's: to the caller in short, in full to the console
            from moat.micro.log import failed

            failed("the app '%s'" % name, exc)
            why = "%s: %s" % (type(exc).__name__, exc)
            raise ImportError("the app '%s' cannot be loaded: %s" % (name, why))


def release():
    """Give the console port back to the REPL; an interrupt leaves the stack as it is."""
    global _guard, _codec, _port, link, safe_mode
    if _guard is not None:
        _guard.session(False)
    if _port is not None:
        _port.release()
    _guard = _codec = _port = link = safe_mode = None


def skipped():
    """Return the number of broken messages that have arrived; None when there is no stack."""
    return None if _codec is None else _codec.errors


def _interrupt():
    raise KeyboardInterrupt


async def _run(main):
    try:
        await main()
    except Exception as exc:  # the user's: it shall not take the stack down
        from moat.micro.log import failed

        failed("main()", exc)


async def _forward(msg):
    """Send on what the program prints while there are no messages to take it along."""
    while True:
        await _port.printed()
        await msg.cwr(b"")
