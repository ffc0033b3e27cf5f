"""A message stream in memory that loses, repeats and delays messages, and ReliableMsg on it."""

from _memory import pair

from moat.micro import rt
from moat.micro.errors import MessageTooLongError
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.reliable import ReliableMsg
from moat.micro.proto.stack import StackedMsg


class LossyMsg(StackedMsg):
    """Does to what is sent what `plan` says, one letter a message, again and again.

    "." sends it, "x" loses it, "2" sends it twice, "<" sends it behind the next one, "|" waits
    for `gate` first, "!" finds messages with data too long.
    """

    def __init__(self, parent, plan="."):
        super().__init__(parent)
        self.plan = plan
        self.sent = 0
        self.gate = rt.Event()
        self._late = []

    async def send(self, msg):
        what = self.plan[self.sent % len(self.plan)]
        self.sent += 1
        if what == "|":
            await self.gate.wait()
        if what == "!" and len(msg) > 5:
            raise MessageTooLongError("for the test")
        if what == "<":
            self._late.append(msg)
            return
        if what != "x":
            await self.s.send(msg)
        if what == "2":
            await self.s.send(msg)
        while self._late:
            await self.s.send(self._late.pop(0))


def lossy_pair(plan=".", back=None, **kw):
    """Return two ends; `back` is the plan of the way back, by default the same."""
    a, b = pair(hangs_up=False, **kw)
    return LossyMsg(MsgpackMsgBuf(a), plan), LossyMsg(MsgpackMsgBuf(b), back or plan)


def ends(*args, **options):
    """Return two ReliableMsg on such a pair."""
    a, b = lossy_pair(*args)
    return ReliableMsg(a, **options), ReliableMsg(b, **options)


async def receive(msg, n):
    """Return the next `n` messages."""
    found = []
    for _ in range(n):
        found.append(await msg.recv())  # noqa: PERF401 -- not on MicroPython
    return found
