"""Messages for which there is not enough memory end their session, and no more than that."""

from _commands import App, end, idle, outcome, tree
from _helpers import raises, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.errors import (
    CallDoneError,
    CallNotRunError,
    CallUnknownError,
    LinkLost,
    LinkReset,
    LostCallError,
)
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.reliable import ReliableMsg


class Memory:
    """Of a codec; it fails as often as `reads` and `writes` say."""

    def __init__(self, codec):
        self.reads = self.writes = 0
        self._decode_, self._write_ = codec._decode, codec._write
        codec._decode, codec._write = self._decode, self._write

    def _decode(self, data):
        if self.reads:
            self.reads -= 1
            raise MemoryError
        return self._decode_(data)

    def _write(self, data):
        if self.writes:
            self.writes -= 1
            raise MemoryError
        return self._write_(data)


@rt.asynccontextmanager
async def short(app):
    """Yield a caller, and the memory of who serves it."""
    a, b = pair()
    near, far = end(a), end(b, tree(app))
    memory = Memory(far.parent)
    async with near, far:
        await near.ready()
        await far.ready()
        yield near, memory
        await near.ready()
        assert await near.call(["app", "add"], 1) == 3
        await idle(near, far)


async def test_a_call_that_cannot_be_decoded_was_not_run():
    app = App()
    async with short(app) as (near, memory):
        memory.reads = 1
        with raises(CallNotRunError):
            await near.call(["app", "bad"], "value")
    assert app.log == []


async def test_the_other_calls_of_that_session_end():
    app, log = App(), []
    async with short(app) as (near, memory), rt.TaskGroup() as tasks:
        tasks.start_soon(outcome, log, near, ["app", "wait"])
        await until(lambda: app.log)
        memory.reads = 1
        near.notify(["app", "add"], 1)
        await until(lambda: log)
    assert isinstance(log[0], CallUnknownError)
    assert app.log == ["started", "waited"]


async def test_a_reply_that_cannot_be_encoded_is_lost():
    async with short(App()) as (near, memory):
        memory.writes = 1
        with raises(CallDoneError):
            await near.call(["app", "add"], 1)


async def test_an_error_that_cannot_be_encoded_is_lost():
    async with short(App()) as (near, memory):
        memory.writes = 1
        with raises(CallDoneError):
            await near.call(["app", "bad"], "value")


async def test_a_value_that_cannot_be_encoded_is_lost_with_its_stream():
    async with short(App()) as (near, memory):
        memory.writes = 1
        async with near.stream(["app", "count"], 3) as st:
            with raises(CallUnknownError, CallDoneError):
                while True:
                    await st.recv()


async def test_it_goes_on_when_there_is_none_for_a_while():
    async with short(App()) as (near, memory):
        memory.reads = 3
        memory.writes = 3
        with raises(CallNotRunError, CallUnknownError):
            await near.call(["app", "add"], 1)


async def receive(m, log):
    """Append what arrives to `log`, up to the message "more"."""
    while "more" not in log:
        try:
            log.append(await m.recv())
        except LinkReset:
            log.append(None)


async def test_a_reliable_stream_goes_on_in_another_session():
    a, b = pair()
    codec = MsgpackMsgBuf(b)
    near, far = ReliableMsg(MsgpackMsgBuf(a)), ReliableMsg(codec)
    memory = Memory(codec)
    async with near, far, rt.TaskGroup() as tasks:
        for lack in ("reads", "writes"):
            log = []
            tasks.start_soon(receive, far, log)
            setattr(memory, lack, 1)
            await near.send("first")
            await until(lambda what=lack: not getattr(memory, what))
            while "more" not in log:
                try:
                    await near.send("more")
                except LinkReset:
                    pass
                await rt.sleep_ms(1)


async def test_calls_above_a_reliable_session():
    a, b = pair()
    codec = MsgpackMsgBuf(b)
    near, far = CmdMsg(ReliableMsg(MsgpackMsgBuf(a))), CmdMsg(ReliableMsg(codec), tree())
    memory = Memory(codec)
    async with near, far:
        for lack in ("reads", "writes"):
            await near.ready()
            setattr(memory, lack, 1)
            log = []
            while log[-1:] != [3] or getattr(memory, lack):
                await outcome(log, near, ["app", "add"], 1)
                await near.ready()
            log.remove(3)
            assert all(isinstance(exc, (LostCallError, LinkLost)) for exc in log if exc != 3)
