"""The link commands: an app that reads and writes a channel."""

from _commands import idle
from _helpers import raises, settle
from _ports import many, note, port, rd

from moat.micro import rt
from moat.micro.errors import (
    MessageTooLongError,
    NoConsoleError,
)

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


async def test_the_console_takes_bytes_and_gives_one_at_least():
    async with port("messages") as (near, far):
        for bad in ("text", 5, [1], None):
            with raises(TypeError):
                await near.call(["p", "cwr"], bad)
            async with near.stream(["p", "cwr"]) as st:
                await st.send(bad)
                with raises(TypeError):
                    await st.recv()
        await far.cwr(b"text")
        for n in (0, -1):
            with raises(ValueError):
                await near.call(["p", "crd"], n)
        assert await near.call(["p", "crd"], 1) == b"t"
        assert await near.call(["p", "crd"]) == b"ext"
