"""The stack on the console port, with the user's program beside it."""

import sys

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import Dispatch
from moat.micro.guard import Guard
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.stream import FileBuf, StdioBuf

_port = StdioBuf()
_guard = Guard(_port)


async def serve(apps, main):
    """Serve `apps` on the console port, and run `main` beside it, until the port closes."""
    msg = MsgpackMsgBuf(_port, ctrl_c=_interrupt)
    async with rt.TaskGroup() as tasks:
        _guard.start_soon = tasks.start_soon
        async with CmdMsg(msg, Dispatch(apps), on_session=_guard.session) as cmd:
            _guard.inside = lambda: msg.inside
            if _port.console is not None:
                tasks.start_soon(_forward, _port.console, msg)
            if main is not None:
                tasks.start_soon(_run, main)
            await cmd.closed()
            tasks.cancel()


def release():
    """Give the console port back to the REPL."""
    _guard.reset()
    _port.release()


def _interrupt():
    raise KeyboardInterrupt


async def _run(main):
    try:
        await main()
    except Exception as exc:  # the user's: it shall not take the stack down
        sys.print_exception(exc)


async def _forward(console, msg):
    """Send on what the program prints."""
    src = FileBuf()
    src.s = console
    buf = memoryview(bytearray(128))
    while True:
        n = await src.rd(buf)
        await msg.cwr(buf[:n])
