"""The link commands: several readers, the end of the channel, a link that owns it."""

from _commands import linked
from _helpers import raises, settle, until
from _memory import pair
from _ports import QUICK, note, port, rd

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
)
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.stacks import ConfigError

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


async def test_a_message_for_which_there_is_no_memory_is_told():
    a, b = pair()
    root = build({"apps": {"p": "moat.micro.app.port:PortCmd"}, "p": {"link": a}})
    async with linked(root) as (near, _), root, MsgpackMsgBuf(b) as far:
        await near.call(["p", "w"], "it is open")
        codec = root.child("p")._s
        decode = codec._decode
        errors = [MemoryError()]

        def starved(data):
            if errors:
                raise errors.pop()
            return decode(data)

        codec._decode = starved
        await far.send("lost")
        with raises(LinkReset):
            await near.call(["p", "r"])
        await far.send("more")
        assert await near.call(["p", "r"]) == "more"


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
