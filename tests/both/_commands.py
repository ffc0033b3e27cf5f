"""Two CmdMsg joined by a line in memory, the commands that tests call, and readers."""

from _helpers import forever, until
from _memory import pair
from msgpack import packb

from moat.micro import rt
from moat.micro.cmd._wire import HELLO, ID_BITS, VERSION
from moat.micro.cmd.here import current
from moat.micro.cmd.link import LinkCmd
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, DirCmd, Dispatch
from moat.micro.proto.msgpack import MsgpackMsgBuf


class OddError(Exception):
    """Of a type that only one side knows."""


class App(BaseCmd):
    """Commands; `log` tells what has happened to them."""

    def __init__(self, log=None):
        self.log = [] if log is None else log

    async def cmd_add(self, a, b=2):
        return a + b

    async def cmd_echo(self, *args, **kw):
        return [args, kw]

    async def cmd_same(self, x):
        return x

    async def cmd_bytes(self, n):
        return bytes(n)

    async def cmd_bad(self, how):
        self.log.append("bad")
        raise _ERRORS[how]

    async def cmd_object(self):
        return object()

    async def cmd_wait(self, name="waited"):
        """Wait to be cancelled."""
        self.log.append("started")
        await forever(self.log, name)

    async def cmd_yield(self, n, x):
        for _ in range(n):
            await rt.sleep_ms(0)
        return x

    async def stream_count(self, st, n, size=0):
        self.log.append("started")
        try:
            for i in range(n):
                await st.send([i, bytes(size)] if size else i)
                self.log.append(i)
            return "done"
        finally:
            self.log.append("ended")

    async def stream_sum(self, st, n=None):
        """Add what the caller sends, up to `n` values; says each sum."""
        total = 0
        self.log.append("started")
        try:
            async for value in st:
                total += value
                await st.send(total)
                if n is not None:
                    n -= 1
                    if not n:
                        break
            return total
        finally:
            self.log.append("ended")

    async def stream_deaf(self, st):
        """Take no value."""
        self.log.append("started")
        await forever(self.log, "ended")

    async def cmd_here(self):
        call = current()
        assert call is not None
        return [call.path, call.return_path]

    async def cmd_call_back(self, rest):
        """Call something where the caller is."""
        call = current()
        assert call is not None
        return await self.call(call.return_path + rest)

    async def call(self, path):
        """Call along the tree that this app is in; set by `chained`."""
        raise NotImplementedError

    async def stream_bad(self, st, n):
        for i in range(n):
            await st.send(i)
        raise ValueError("after", n)


class Unprintable:
    """Its repr fails."""

    def __repr__(self):
        raise KeyError("repr")


_ERRORS = {
    "unprintable": ValueError(Unprintable()),
    "value": ValueError("text", 3),
    "key": KeyError("missing"),
    "os": OSError(5),
    "odd": OddError("odd", [1, 2]),
    "big": ValueError(1 << 70),
    "syntax": SyntaxError("bad", ("file", 1, 2, "text")),
    "long": ValueError("much " * 2000),
    "type": TypeError("inside"),
    "none": RuntimeError(),
}


def tree(app=None):
    """Return a root with an App at `app` and one at `sub.app`."""
    app = app or App()
    return Dispatch({"app": app, "sub": DirCmd({"app": app})})


def end(buf, root=None, limit=4096, **kw):
    """Return one end of a link on `buf`."""
    return CmdMsg(MsgpackMsgBuf(buf, limit=limit, gap_ms=50), root, limit=limit, **kw)


@rt.asynccontextmanager
async def linked(root=None, size=1 << 16, chunk=1 << 16, hangs_up=True, **kw):
    """Yield the two ends of a link, `root` (default: `tree`) served by the second.

    Further arguments are for the first.
    """
    a, b = pair(size, chunk, hangs_up)
    near, far = end(a, **kw), end(b, root or tree())
    async with near, far:
        await near.ready()
        await far.ready()
        yield near, far


class Hop:
    """A device in a row of them: `app` is its own, `next` and `back` lead to its neighbours."""

    def __init__(self, name):
        self.name = name
        self.log = []
        self.app = App(self.log)
        self.app.call = self.call
        self.next, self.back = LinkCmd(), LinkCmd()
        sub = {"app": self.app, "next": self.next, "back": self.back}
        self.root = Dispatch(sub)
        sub["a"], sub["n"] = self.app, self.next  # for paths of letters

    async def call(self, path):
        link, n = self.root.find(path)
        return await link.call(path[n:])

    def links(self):
        """Return the links that we have."""
        return [x.cmd for x in (self.next, self.back) if x.cmd is not None]


@rt.asynccontextmanager
async def joined(left, right, **kw):
    """Join two hops."""
    a, b = pair(1 << 16, 1 << 16)
    near = end(a, left.root, path=["next"], name=left.name, **kw)
    far = end(b, right.root, path=["back"], name=right.name, **kw)
    async with near, far:
        left.next.cmd, right.back.cmd = near, far
        await near.ready()
        await far.ready()
        yield near


@rt.asynccontextmanager
async def chained(**kw):
    """Yield four hops in a row."""
    hops = [Hop(name) for name in ("host", "one", "two", "three")]
    one, two, three = [joined(hops[n], hops[n + 1], **kw) for n in range(3)]
    async with one, two, three:
        yield hops


async def outcome(log, cmd, *args, **kw):
    """Call something; append the result to `log`, or the error."""
    try:
        log.append(await cmd.call(*args, **kw))
    except Exception as exc:
        log.append(exc)


async def idle(*cmds):
    """Wait until no call is under way; then there is none in any table."""
    for cmd in cmds:
        core = cmd.core
        await until(lambda c=core: not c.calls and not c.served and not c.out)


class Raw:
    """A peer that says exactly what it is told: one end of the protocol, message by message."""

    own = 0x12345678 | ID_BITS

    def __init__(self, buf, limit=4096):
        self._buf = buf
        self._msg = MsgpackMsgBuf(buf)
        self.limit = limit

    async def open(self):
        """Shake hands; returns nothing."""
        await self.send(HELLO, VERSION, self.own, None, self.limit, {})
        while True:
            hello = await self.recv()
            if hello[0] == HELLO and hello[3] == self.own:
                break
        await self.send(HELLO, VERSION, self.own, hello[2], self.limit, {})

    async def send(self, *msg):
        await self._msg.send(msg)

    async def recv(self):
        return await self._msg.recv()

    async def expect(self, *kinds):
        """Return the next message of one of these kinds."""
        while True:
            msg = await self.recv()
            if msg[0] in kinds:
                return msg

    async def __aenter__(self):
        await self._msg.__aenter__()
        return self

    async def __aexit__(self, *exc):
        return await self._msg.__aexit__(*exc)


def frame(obj):
    """Return `obj` as it is on the line."""
    return b"\xc1" + packb(obj)


async def recv_some(m, n):
    """Return the next `n` messages."""
    found = []
    while len(found) < n:
        found.append(await m.recv())
    return found


async def recv_all(m, found):
    """Append what arrives to `found` until the end."""
    try:
        while True:
            found.append(await m.recv())
    except EOFError:
        found.append("end")


async def crd_all(m, text):
    """Append the console text to `text` until the end."""
    buf = bytearray(7)
    try:
        while True:
            n = await m.crd(buf)
            text.extend(buf[:n])
    except EOFError:
        text.extend(b"<end>")
