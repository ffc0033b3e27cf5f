"""The base classes of all streams."""

from _helpers import raises, settle, until
from _memory import pair

from moat.micro import rt
from moat.micro.errors import InUseError, LinkLost, NoConsoleError
from moat.micro.proto.stack import (
    Base,
    BaseBlk,
    BaseBuf,
    BaseMsg,
    StackedBlk,
    StackedBuf,
    StackedMsg,
)


class Bottom(Base):
    """Answers every call of a stream with its name and argument."""

    def __init__(self):
        self.log = []

    @rt.asynccontextmanager
    async def _ctx(self):
        self.log.append("enter")
        try:
            yield self
        finally:
            self.log.append("leave")

    async def rd(self, buf):
        return "rd", buf

    async def wr(self, buf):
        return "wr", buf

    async def rcv(self):
        return "rcv"

    async def snd(self, buf):
        return "snd", buf

    async def recv(self):
        return "recv"

    async def send(self, msg):
        return "send", msg

    async def crd(self, buf):
        return "crd", buf

    async def cwr(self, buf):
        return "cwr", buf

    async def flush(self):
        return "flush"


async def test_entering_twice_is_an_error_and_harmless():
    bottom = Bottom()
    s = StackedMsg(bottom)
    async with s as one:
        assert one is s
        with raises(InUseError) as info:
            async with s:
                raise AssertionError
        assert "StackedMsg" in str(info.exc)
        with raises(InUseError):
            async with StackedBuf(bottom):
                raise AssertionError
        assert await s.recv() == "recv"
    assert bottom.log == ["enter", "leave"]


async def test_it_can_be_entered_again_after_it_was_left():
    bottom = Bottom()
    s = StackedMsg(StackedBlk(bottom))
    for _ in range(3):
        async with s:
            pass
    with raises(ValueError):
        async with s:
            raise ValueError
    async with s:
        assert s.parent.s is bottom
    assert bottom.log == ["enter", "leave"] * 5


async def test_what_fails_to_open_can_be_tried_again():
    a, _ = pair()
    a.fails = 2
    s = StackedBuf(StackedBuf(a))
    for _ in range(2):
        with raises(LinkLost):
            async with s:
                raise AssertionError
    async with s:
        assert a.open
    assert not a.open
    assert a.entered == 1


async def test_cancelled_while_it_opens_it_can_be_tried_again():
    a, _ = pair()
    s = StackedBuf(a)
    async with rt.TaskGroup() as tg:
        task = tg.start_soon(_enter, s)
        task.cancel()
        await settle()
    assert a.entered == 0
    async with s:
        assert a.open


async def _enter(s):
    async with s:
        await rt.sleep_ms(10000)


async def test_every_layer_knows_its_parent_and_what_that_gave():
    bottom = Bottom()
    low = StackedBlk(bottom)
    high = StackedMsg(low)
    assert high.parent is low
    async with high:
        assert high.s is low
        assert low.s is bottom


async def test_a_layer_may_give_something_else_than_itself():
    class Odd(Bottom):
        @rt.asynccontextmanager
        async def _ctx(self):
            yield inner

    inner = Bottom()
    odd = Odd()
    s = StackedBuf(odd)
    async with s:
        assert s.parent is odd
        assert s.s is inner


async def test_stacked_layers_forward_their_calls_and_the_console():
    bottom = Bottom()
    async with StackedBuf(bottom) as s:
        assert await s.rd(1) == ("rd", 1)
        assert await s.wr(2) == ("wr", 2)
        assert await s.crd(3) == ("crd", 3)
        assert await s.flush() == "flush"
        assert await s.cwr(4) == ("cwr", 4)
    async with StackedBlk(bottom) as s:
        assert await s.rcv() == "rcv"
        assert await s.snd(2) == ("snd", 2)
        assert await s.crd(3) == ("crd", 3)
        assert await s.flush() == "flush"
        assert await s.cwr(4) == ("cwr", 4)
    async with StackedMsg(StackedMsg(bottom)) as s:
        assert await s.recv() == "recv"
        assert await s.send(2) == ("send", 2)
        assert await s.crd(3) == ("crd", 3)
        assert await s.flush() == "flush"
        assert await s.cwr(4) == ("cwr", 4)


async def test_errors_of_the_layer_below_pass_through_every_call():
    class Broken(Base):
        async def _fail(self, arg=None):
            raise LinkLost(arg)

        rd = wr = rcv = snd = recv = send = crd = cwr = _fail

    for cls, calls in (
        (StackedBuf, ("rd", "wr", "crd", "cwr")),
        (StackedBlk, ("rcv", "snd", "crd", "cwr")),
        (StackedMsg, ("recv", "send", "crd", "cwr")),
    ):
        async with cls(cls(Broken())) as s:
            for call in calls:
                args = () if call in ("rcv", "recv") else (call,)
                with raises(LinkLost) as info:
                    await getattr(s, call)(*args)
                assert info.exc.args == (args or (None,))


async def test_a_layer_that_is_being_opened_is_in_use():
    gate = rt.Event()

    class Slow(Bottom):
        @rt.asynccontextmanager
        async def _ctx(self):
            await gate.wait()
            yield self

    s = StackedBuf(Slow())
    async with rt.TaskGroup() as tg:
        task = tg.start_soon(_enter, s)
        await settle()
        with raises(InUseError):
            async with s:
                raise AssertionError
        gate.set()
        await settle()
        task.cancel()
    async with s:
        pass


async def test_an_override_may_do_something_around_what_its_base_does():
    class Logged(StackedBuf):
        @rt.asynccontextmanager
        async def _ctx(self):
            log = bottom.log
            log.append("before")
            try:
                async with super()._ctx():
                    log.append("opened")
                    yield self
                    log.append("closing")
            finally:
                log.append("after")

    bottom = Bottom()
    for _ in range(2):
        async with Logged(bottom) as s:
            assert await s.rd(1) == ("rd", 1)
    assert bottom.log == ["before", "enter", "opened", "closing", "leave", "after"] * 2


async def test_an_override_may_swallow_an_error():
    class Calm(StackedBuf):
        @rt.asynccontextmanager
        async def _ctx(self):
            try:
                async with super()._ctx():
                    yield self
            except KeyError:
                bottom.log.append("caught")

    bottom = Bottom()
    async with Calm(bottom):
        raise KeyError
    with raises(ValueError):
        async with Calm(bottom):
            raise ValueError
    assert bottom.log == ["enter", "leave", "caught", "enter", "leave"]


async def test_what_fails_to_close_can_be_opened_again():
    class Sticky(Bottom):
        @rt.asynccontextmanager
        async def _ctx(self):
            yield self
            raise OSError(5)

    s = StackedMsg(StackedMsg(Sticky()))
    for _ in range(2):
        with raises(OSError):
            async with s:
                assert await s.recv() == "recv"


async def test_cancelled_while_open_or_closing_it_can_be_opened_again():
    gate = rt.Event()

    class Slow(Bottom):
        @rt.asynccontextmanager
        async def _ctx(self):
            self.log.append("enter")
            try:
                yield self
                await gate.wait()
            finally:
                self.log.append("leave")

    async def use(s, log):
        async with s:
            await until(lambda: log[-1] == "go")

    bottom = Slow()
    s = StackedBuf(bottom)
    for closing in (False, True):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(use, s, bottom.log)
            await settle()
            if closing:
                bottom.log.append("go")
                await settle()
            task.cancel()
    gate.set()
    async with s:
        pass
    assert bottom.log == ["enter", "leave", "enter", "go", "leave", "enter", "leave"]


async def test_what_knows_nothing_of_delivery_flushes_at_once():
    async with StackedBuf(BaseBuf()) as s:
        assert await s.flush() is None


async def test_without_a_console_reading_and_writing_it_say_so():
    for cls in (BaseBuf, BaseBlk, BaseMsg):
        async with cls() as s:
            with raises(NoConsoleError) as info:
                await s.crd(bytearray(1))
            assert cls.__name__ in str(info.exc)
            with raises(NoConsoleError):
                await s.cwr(b"x")


async def test_what_a_bottom_does_not_do_is_an_error():
    async with BaseBuf() as s:
        with raises(NotImplementedError):
            await s.rd(bytearray(1))
        with raises(NotImplementedError):
            await s.wr(b"")
    async with BaseBlk() as s:
        with raises(NotImplementedError):
            await s.rcv()
        with raises(NotImplementedError):
            await s.snd(b"")
    async with BaseMsg() as s:
        with raises(NotImplementedError):
            await s.recv()
        with raises(NotImplementedError):
            await s.send(1)


async def test_an_error_in_the_body_passes_through_all_layers():
    bottom = Bottom()
    with raises(KeyError):
        async with StackedMsg(StackedMsg(bottom)):
            raise KeyError(1)
    assert bottom.log == ["enter", "leave"]


# ---- the helper that all other tests stand on


async def test_the_line_in_memory_holds_back_and_loses_nothing():
    a, b = pair(size=10, chunk=3)
    got = bytearray()

    async def write():
        await a.wr(bytes(range(100)))

    async with a, b, rt.TaskGroup() as tg:
        tg.start_soon(write)
        await settle()
        assert len(b.inp.data) == 10
        buf = bytearray(50)
        while len(got) < 100:
            n = await b.rd(buf)
            assert 1 <= n <= 3
            got.extend(buf[:n])
    assert got == bytes(range(100))


async def test_the_line_in_memory_finishes_a_cancelled_write_first():
    a, b = pair(size=4)
    async with a, b, rt.TaskGroup() as tg:
        task = tg.start_soon(a.wr, b"abcdefgh")
        await settle()
        task.cancel()
        await settle()
        tg.start_soon(a.wr, b"123")
        got = bytearray()
        buf = bytearray(50)
        while len(got) < 11:
            n = await b.rd(buf)
            got.extend(buf[:n])
    assert got == b"abcdefgh123"
