"""ReconnectBuf below the other layers: a session survives an unplugged cable."""

from _commands import App, tree
from _flaky import FarEnd, Flaky
from _helpers import settle, until

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.errors import CallUnknownError, LostCallError
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.reconnect import ReconnectBuf
from moat.micro.proto.reliable import ReliableMsg


def stack(buf):
    """Return what a reliable session over a cable consists of."""
    return ReliableMsg(MsgpackMsgBuf(ReconnectBuf(buf, base_ms=1, max_ms=5, keep_trying=True)))


async def collect(msg, found):
    while True:
        found.append(await msg.recv())


async def test_a_reliable_session_survives_an_unplugged_cable():
    cable = Flaky(size=50)
    found = [[], []]
    async with stack(cable) as near, stack(FarEnd(cable)) as far, rt.TaskGroup() as tg:
        tg.start_soon(collect, near, found[0])
        tg.start_soon(collect, far, found[1])
        for i in range(60):
            await near.send(["to far", i])
            await far.send(["to near", i])
            if i % 20 == 10:
                await until(lambda n=i: len(found[0]) > n - 5)
                cable.cut()
        await near.flush()
        await far.flush()
        await until(lambda: len(found[0]) == len(found[1]) == 60)
        # Later one end leaves, and the other one may still try to reach it.
        assert cable.log == ["enter", "leave"] * 3 + ["enter"]
        tg.cancel()
    assert found[1] == [["to far", i] for i in range(60)]
    assert found[0] == [["to near", i] for i in range(60)]


async def test_calls_in_flight_survive_an_unplugged_cable():
    cable = Flaky()
    async with CmdMsg(stack(cable)) as cmd, CmdMsg(stack(FarEnd(cable)), tree(App())):
        await cmd.ready()
        log = []
        async with rt.TaskGroup() as tg:
            for i in range(10):
                tg.start_soon(note, log, cmd.call(["app", "yield"], 20 * i, i))
            await settle()
            cable.cut()
        assert sorted(log) == list(range(10))


async def note(log, call):
    log.append(await call)


async def test_without_a_reliable_layer_calls_in_flight_end_as_unknown():
    cable = Flaky()
    near = MsgpackMsgBuf(ReconnectBuf(cable, base_ms=1))
    far = MsgpackMsgBuf(ReconnectBuf(FarEnd(cable), base_ms=1))
    async with CmdMsg(near) as cmd, CmdMsg(far, tree(App())):
        await cmd.ready()
        log = []
        async with rt.TaskGroup() as tg:
            tg.start_soon(ends_with_reset, log, cmd)
            await settle()
            cable.cut()
        assert log == [CallUnknownError]
        await cmd.ready()
        assert await cmd.call(["app", "add"], 1) == 3


async def ends_with_reset(log, cmd):
    try:
        await cmd.call(["app", "wait"])
    except LostCallError as exc:
        log.append(type(exc))
