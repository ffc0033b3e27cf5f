"""The app of the link commands, and the other end of its channel."""

from _commands import end, linked, tree
from _memory import pair

from moat.micro import rt
from moat.micro.cmd.apps import build
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.serialpacker import SerialPackerBlkBuf

QUICK = {"base_ms": 1, "max_ms": 5}


def far_end(carries, buf):
    """Return the other end of such a channel."""
    if carries == "link":
        return end(buf, tree(), path=["back"])
    if carries == "bytes":
        return buf
    if carries == "blocks":
        return SerialPackerBlkBuf(buf, max_packet=4096)
    return MsgpackMsgBuf(buf)


@rt.asynccontextmanager
async def port(carries, size=1 << 16, window=4096, **settings):
    """Yield the caller of the app `p`, and the other end of its channel."""
    a, b = pair(size)
    cfg = {"link": a, "reconnect": False}
    spec = "peer:PeerPort"
    if carries != "link":
        spec = "port:PortCmd"
        cfg["carries"] = carries
    cfg.update(settings)
    root = build({"apps": {"p": "moat.micro.app." + spec}, "p": cfg})
    async with root, far_end(carries, b) as far, linked(root, window=window) as (near, _):
        yield near, far


async def rd(far, n=1000):
    """Read bytes."""
    buf = bytearray(n)
    return bytes(buf[: await far.rd(buf)])


async def note(log, awaitable):
    """Append what comes of it."""
    try:
        log.append(await awaitable)
    except Exception as exc:
        log.append(exc)


async def many(fn, n):
    """Return what `n` calls return."""
    found = []
    while len(found) < n:
        found.append(await fn())
    return found
