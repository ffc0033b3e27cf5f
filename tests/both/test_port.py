"""The link commands: an app that reads and writes a channel."""

from _commands import end, idle, linked, tree
from _helpers import raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.app.peer import PeerPort
from moat.micro.app.port import PortCmd
from moat.micro.cmd.apps import build
from moat.micro.cmd.tree import Dispatch
from moat.micro.errors import (
    CallNotRunError,
    InUseError,
    LinkLost,
    LinkReset,
    MessageTooLongError,
    NoConsoleError,
)
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.serialpacker import SerialPackerBlkBuf
from moat.micro.stacks import ConfigError

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


# ---- bytes


async def test_bytes_are_written_and_read():
    async with port("bytes") as (near, far):
        assert await near.call(["p", "wr"], b"there") is None
        assert await rd(far) == b"there"
        await far.wr(b"and back")
        assert await near.call(["p", "rd"]) == b"and back"


async def test_of_bytes_at_most_n_are_read_and_by_default_64():
    async with port("bytes") as (near, far):
        await far.wr(bytes(range(100)))
        assert await near.call(["p", "rd"], 3) == b"\x00\x01\x02"
        assert await near.call(["p", "rd"]) == bytes(range(3, 67))
        assert await near.call(["p", "rd"], n=1000) == bytes(range(67, 100))
        with raises(ValueError):
            await near.call(["p", "rd"], 0)


async def test_bytes_as_a_stream():
    async with port("bytes") as (near, far):
        async with near.stream(["p", "rd"]) as st:
            for data in (b"one", b"two" * 50, b"three"):
                await far.wr(data)
                assert await st.recv() == data
        await idle(near)  # or what arrives now is still for that one
        async with near.stream(["p", "rd"], 4) as st:
            await far.wr(b"0123456789")
            assert await many(st.recv, 3) == [b"0123", b"4567", b"89"]
        async with near.stream(["p", "wr"]) as st:
            await st.send(b"abc")
            assert await rd(far) == b"abc"
            await st.send(b"def")
            assert await rd(far) == b"def"


async def test_what_a_stream_could_not_send_is_for_the_next_reader():
    async with port("bytes", window=1) as (near, far):
        await far.wr(b"0123456789")
        async with near.stream(["p", "rd"], 4):
            await settle()  # the caller takes one value, and has not read it
        assert await near.call(["p", "rd"]) == b"456789"


async def test_bytes_are_no_messages():
    async with port("bytes") as (near, _):
        for name, args in (("w", [1]), ("r", [])):
            with raises(NotImplementedError) as info:
                await near.call(["p", name], *args)
            assert "carries bytes: use wr and rd" in str(info.exc)
        async with near.stream(["p", "r"]) as st:
            with raises(NotImplementedError):
                await st.recv()
        for name in ("crd", "cwr"):
            with raises(NoConsoleError):
                await near.call(["p", name], *[b"x"][: name == "cwr"])
        with raises(TypeError):
            await near.call(["p", "wr"], "text")


async def test_a_slow_reader_holds_the_channel_back():
    written = []
    async with port("bytes", size=100) as (near, far):

        async def write():
            for n in range(50):
                await far.wr(bytes([n] * 100))
                written.append(n)

        async with rt.TaskGroup() as tasks:
            tasks.start_soon(write)
            await settle()
            await settle()
            assert len(written) < 10
            data = b""
            while len(data) < 5000:
                data += await near.call(["p", "rd"], 1000)
        assert data == b"".join([bytes([n] * 100) for n in range(50)])


# ---- blocks


async def test_a_block_each():
    async with port("blocks") as (near, far):
        await near.call(["p", "wr"], b"one")
        await near.call(["p", "wr"], b"two")
        assert await many(far.rcv, 2) == [b"one", b"two"]
        await far.snd(b"three")
        await far.snd(b"four")
        assert await near.call(["p", "rd"]) == b"three"
        assert await near.call(["p", "rd"]) == b"four"


async def test_a_block_that_is_too_long_is_kept():
    async with port("blocks") as (near, far):
        await far.snd(bytes(100))
        await far.snd(b"next")
        for _ in range(2):
            with raises(ValueError) as info:
                await near.call(["p", "rd"])
            assert "100 bytes" in str(info.exc)
        async with near.stream(["p", "rd"], 99) as st:
            with raises(ValueError):
                await st.recv()
        assert await near.call(["p", "rd"], 100) == bytes(100)
        assert await near.call(["p", "rd"]) == b"next"


async def test_blocks_as_a_stream():
    async with port("blocks") as (near, far):
        out, inp = near.stream(["p", "wr"]), near.stream(["p", "rd"])
        async with out, inp:
            for n in (1, 70, 1000):
                await out.send(bytes(n))
                assert len(await far.rcv()) == n
                await far.snd(bytes(n))
                assert len(await inp.recv()) == n
            with raises(MessageTooLongError):
                await near.call(["p", "wr"], bytes(3000) + bytes(2000))


async def test_the_console_beside_blocks():
    async with port("blocks") as (near, far):
        await near.call(["p", "cwr"], b"hello")
        task_log = []
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(note, task_log, far.rcv())
            buf = bytearray(10)
            n = await far.crd(buf)
            assert buf[:n] == b"hello"
            await near.call(["p", "wr"], b"x")
        await far.cwr(b"text")
        assert await near.call(["p", "crd"], 3) == b"tex"
        assert await near.call(["p", "crd"]) == b"t"
        with raises(NotImplementedError):
            await near.call(["p", "w"], 1)


# ---- messages


async def test_messages_of_any_kind():
    async with port("messages") as (near, far):
        for msg in (1, None, "x", [1, {"a": b"\xc1"}], {}):
            await near.call(["p", "w"], msg)
            assert await far.recv() == msg
            await far.send(msg)
            assert await near.call(["p", "r"]) == msg


async def test_messages_as_a_stream():
    async with port("messages") as (near, far):
        out, inp = near.stream(["p", "w"]), near.stream(["p", "r"])
        async with out, inp:
            for msg in range(20):
                await far.send(msg)
            assert await many(inp.recv, 20) == list(range(20))
            await out.send([1, 2])
            assert await far.recv() == [1, 2]
            await out.finish()
            with raises(EOFError):
                await out.recv()


async def test_messages_are_no_bytes():
    async with port("messages") as (near, _):
        for name, args in (("wr", [b"x"]), ("rd", [])):
            with raises(NotImplementedError) as info:
                await near.call(["p", name], *args)
            assert "carries messages: use w and r" in str(info.exc)


async def test_the_console_beside_messages():
    async with port("messages") as (near, far):
        async with near.stream(["p", "crd"]) as st:
            await far.cwr(b"some ")
            assert await st.recv() == b"some "
            await far.send("between")
            await far.cwr(b"text")
            assert await st.recv() == b"text"
        assert await near.call(["p", "r"]) == "between"
        async with near.stream(["p", "cwr"]) as st:
            await st.send(b"out")
            await st.finish()
            with raises(EOFError):
                await st.recv()
        await near.call(["p", "w"], 1)
        assert await far.recv() == 1
        buf = bytearray(10)
        assert buf[: await far.crd(buf)] == b"out"


# ---- readers


async def test_a_second_reader_is_refused():
    async with port("messages") as (near, far):
        log = []
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(note, log, near.call(["p", "r"]))
            await settle()
            with raises(InUseError):
                await near.call(["p", "r"])
            async with near.stream(["p", "r"]) as st:
                with raises(InUseError):
                    await st.recv()
            await far.send("first")
        assert log == ["first"]
        log.clear()
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(note, log, near.call(["p", "crd"]))
            await settle()
            with raises(InUseError):
                await near.call(["p", "crd"])
            await far.cwr(b"text")
        assert log == [b"text"]


async def test_a_read_that_is_cancelled_takes_nothing():
    async with port("messages") as (near, far):
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(near.call, ["p", "r"])
            tasks.start_soon(near.call, ["p", "crd"])
            await settle()
            tasks.cancel()
        await settle()
        await far.send("msg")
        await far.cwr(b"text")
        assert await near.call(["p", "r"]) == "msg"
        assert await near.call(["p", "crd"]) == b"text"


async def test_a_message_that_no_caller_takes_is_dropped_with_an_error():
    async with port("messages", limit=8000) as (near, far):
        await far.send(bytes(6000))
        await far.send("next")
        async with near.stream(["p", "r"]) as st:
            with raises(MessageTooLongError):
                await st.recv()
        assert await near.call(["p", "r"]) == "next"


# ---- the end of the channel


async def test_the_end_is_told_after_the_rest():
    async with port("bytes") as (near, far):
        await far.wr(b"last")
        far.half_close()
        assert await near.call(["p", "rd"]) == b"last"
        for _ in range(2):
            with raises(EOFError):
                await near.call(["p", "rd"])
        async with near.stream(["p", "rd"]) as st:
            with raises(EOFError):
                await st.recv()
        await near.call(["p", "wr"], b"still")
        assert await rd(far) == b"still"


async def test_a_broken_line_is_told():
    async with port("bytes") as (near, far):
        far.cut()
        with raises(LinkLost):
            await near.call(["p", "rd"])
        with raises(LinkLost):
            await near.call(["p", "wr"], b"x")


async def test_a_line_that_comes_back_is_a_reset_and_goes_on():
    a, b = pair()
    cfg = {"link": a, "reconnect": QUICK, "carries": "bytes"}
    root = build({"apps": {"p": "moat.micro.app.port:PortCmd"}, "p": cfg})
    async with linked(root) as (near, _), root:
        async with b:
            await b.wr(b"one")
            assert await near.call(["p", "rd"]) == b"one"
        await until(lambda: a.entered == 2)
        async with b:
            with raises(LinkReset):
                await near.call(["p", "rd"])
            await b.wr(b"two")
            assert await near.call(["p", "rd"]) == b"two"
            await near.call(["p", "wr"], b"three")
            assert await rd(b) == b"three"


async def test_stopping_the_app_ends_those_who_wait():
    log = []
    async with port("messages") as (near, _):
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(note, log, near.call(["p", "r"]))
            tasks.start_soon(note, log, near.call(["p", "crd"]))
            await settle()
            await near.call(["p", "stp_"])
        assert [type(exc) for exc in log] == [LinkLost, LinkLost]


# ---- a link owns the channel


async def test_a_link_owns_the_channel():
    async with port("link", rights=[""]) as (near, far):
        await far.ready()
        assert await near.call(["p", "peer", "app", "add"], 1) == 3
        assert await near.call(["p", "peer", "app", "here"]) == [["app", "here"], ["back"]]
        assert (await far.call(["p", "dir_"]))["l"] == ["peer"]
        for name, args in (("w", [1]), ("r", []), ("wr", [b"x"]), ("rd", [])):
            with raises(InUseError) as info:
                await near.call(["p", name], *args)
            assert "peer" in str(info.exc)
        for name in ("r", "rd", "w", "wr"):
            async with near.stream(["p", name]) as st:
                with raises(InUseError):
                    await st.recv()


async def test_the_console_beside_a_link():
    async with port("link") as (near, far):
        await far.ready()
        await far.s.cwr(b"printed")
        assert await near.call(["p", "crd"]) == b"printed"
        await near.call(["p", "cwr"], b"typed")
        await near.call(["p", "peer", "app", "add"], 1)
        text = bytearray(10)
        assert text[: await far.s.crd(text)] == b"typed"


async def test_without_a_device_the_peer_is_not_connected():
    cfg = {"link": pair()[0], "reconnect": False}
    root = build({"apps": {"p": "moat.micro.app.peer:PeerPort"}, "p": cfg})
    async with root, linked(root) as (near, _):
        with raises(CallNotRunError):
            await near.call(["p", "peer", "app", "add"], 1)


def test_a_config_that_makes_no_sense_is_refused():
    a = pair()[0]
    for settings, word in (
        ({"carries": "bytes", "framing": "serialpacker"}, "framing"),
        ({"carries": "bytes", "limit": 100}, "limit"),
        ({"carries": "bytes", "reliable": True}, "reliable"),
        ({"carries": "bytes", "log": {"msg": "x"}}, "msg"),
        ({"carries": "blocks", "reliable": True}, "reliable"),
        ({"carries": "blocks", "framing": "msgpack"}, "framing"),
        ({"carries": "words"}, "carries"),
        ({"carries": ["bytes"]}, "carries"),
    ):
        with raises(ConfigError) as info:
            PortCmd(dict(settings, link=a))
        assert word in str(info.exc), info.exc
    with raises(ConfigError):
        PeerPort({"link": a, "carries": "bytes"})
    assert Dispatch({"p": PortCmd({"link": a})}).names("cmd_")
