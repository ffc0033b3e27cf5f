"""What one call costs the device that serves it, without the port that it comes through.

Host and device are both in here, on a stream in memory. The host sends all its calls before the
device is given the first of them, and sees no reply before the device has answered the last one:
so what is measured is the device alone, from the bytes of a call to those of the reply.
"""

import asyncio
import gc
from time import ticks_diff, ticks_us

from moat.micro import rt
from moat.micro.app.sys import SysCmd as Sys
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.proto.base import BaseBuf
from moat.micro.proto.msgpack import MsgpackMsgBuf

_CALLS = 10  # a device serves 16 at a time


class End(BaseBuf):
    """One end of a stream; `held`: what is written waits until it is passed on."""

    def __init__(self):
        self.peer = None
        self.held = False
        self.came = []
        self.sent = []
        self.some = rt.Event()
        self.wrote = rt.Event()

    async def rd(self, buf):
        while not self.came:
            self.some.clear()
            await self.some.wait()
        data = self.came[0]
        n = min(len(data), len(buf))
        buf[:n] = data[:n]
        if n < len(data):
            self.came[0] = data[n:]
        else:
            del self.came[0]
        return n

    async def wr(self, buf):
        self.sent.append(bytes(buf))
        self.wrote.set()
        if not self.held:
            self.pass_on(len(self.sent))

    def pass_on(self, n):
        for _ in range(n):
            self.peer.came.append(self.sent.pop(0))
        self.peer.some.set()


class Echo(BaseCmd):
    """An app."""

    async def cmd_echo(self, data):
        """Return the data."""
        return data


async def _measure(host, port, device_port, path, args):
    """The microseconds of each call, from its bytes to those of the reply."""
    port.held = True
    results = []

    async def call():
        results.append(await host.call(path, *args))

    times = []
    async with rt.TaskGroup() as tasks:
        for n in range(_CALLS):
            tasks.start_soon(call)
            while len(port.sent) <= n:
                await asyncio.sleep_ms(0)
        assert len(port.sent) == _CALLS
        device_port.held = True
        for _ in range(_CALLS):
            gc.collect()
            device_port.wrote.clear()
            began = ticks_us()
            port.pass_on(1)
            await device_port.wrote.wait()
            times.append(ticks_diff(ticks_us(), began))
            await asyncio.sleep_ms(5)  # what comes behind the reply is not part of it
        assert len(device_port.sent) == _CALLS
        port.held = device_port.held = False
        device_port.pass_on(_CALLS)
    return times, results


async def main():
    port, device_port = End(), End()
    port.peer, device_port.peer = device_port, port
    root = Dispatch({"sys": Sys(), "app": Echo()})
    data = bytearray(range(200))
    dev = CmdMsg(MsgpackMsgBuf(device_port), root)
    async with dev as device, CmdMsg(MsgpackMsgBuf(port), None) as host:
        await host.ready()
        await device.ready()
        for name, path, args in (
            ("ping", ["sys", "ping"], ()),
            ("echo_200", ["app", "echo"], (data,)),
        ):
            await _measure(host, port, device_port, path, args)  # imports what it needs
            times, results = await _measure(host, port, device_port, path, args)
            assert name == "ping" or all(bytes(r) == data for r in results)
            print(name, *times)


asyncio.run(main())
