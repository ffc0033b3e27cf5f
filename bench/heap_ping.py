"""What one sys.ping allocates on the device, on qemu-arm.

A program on the device puts itself before the command and notes gc.mem_alloc() at each call,
with the collector off: from one call to the next lies one reply, and the receiving, decoding and
starting of the next call. The figure is the mean, for a message may arrive in more or fewer
pieces. Memory that is freed at once, as that of a buffer that grows, does not count: the
collector never meets it.
"""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO

from bench._figure import Figure, at_most
from bench._heap import ping
from moat.micro.device import connect
from moat.micro.program import run_program
from moat.micro.testing.console import Console

__all__ = ("measure",)

_CALLS = 40  # the heap has to last for all of them

_BEGIN = f"""
import gc
from array import array
from moat.micro.app.sys import SysCmd

SysCmd.log = log = array("I", [0] * {_CALLS + 1})
SysCmd.calls = 0
SysCmd.real_ping = ping = SysCmd.cmd_ping

def cmd_ping(self, m=None):
    log[SysCmd.calls] = gc.mem_alloc()
    SysCmd.calls += 1
    return ping(self, m)

SysCmd.cmd_ping = cmd_ping
gc.collect()
gc.disable()
"""
_END = """
import gc
from moat.micro.app.sys import SysCmd

gc.enable()
SysCmd.cmd_ping = SysCmd.real_ping
print(SysCmd.log[SysCmd.calls - 1] - SysCmd.log[0], SysCmd.calls - 1, "end")
"""


async def measure() -> list[Figure]:
    """The bytes of one call."""
    console = Console()
    with redirect_stdout(StringIO()):  # it repeats there what it gets
        async with connect("emu:qemu-arm", console=console) as dev:
            await run_program(dev, _BEGIN)
            await ping(dev, _CALLS + 1)
            await run_program(dev, _END)
            await console.expect("end")
    allocated, calls, _ = console.text.split()
    return [Figure("heap_ping", int(allocated) / int(calls), "bytes", at_most(2048))]
