"""Fuzzing of CmdMsg and of a hop: what makes no sense is answered or skipped, and nothing stops.

One peer of a hop says random things with plausible ids, the other one too; both links go on.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.micro import rt
from moat.micro.cmd._wire import (
    AT,
    CALL,
    DEADLINE,
    ERROR,
    HELLO,
    ID_BITS,
    KEEP,
    REPLY,
    TRACE,
    TRACEBACK,
    VERSION,
)
from moat.micro.cmd.link import LinkCmd
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.stream import ServedStream
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.testing.memory import buf_pair

PEER = 0x7FFF_0000 | ID_BITS
LIMIT = 600


class App(BaseCmd):
    """Some commands, of which one ends only when it is cancelled."""

    async def cmd_add(self, a: Any, b: Any = 2) -> Any:
        return a + b

    async def cmd_wait(self) -> None:
        await rt.Event().wait()

    async def stream_sum(self, st: ServedStream) -> Any:
        total: Any = 0
        async for value in st:
            total += value
            await st.send(total)
        return total


class Peer:
    """Says what it is told, and reads all that it gets."""

    def __init__(self, buf: Any) -> None:
        self.msg = MsgpackMsgBuf(buf, limit=4096)
        self.heard: list[Any] = []
        self.changed = rt.Event()

    async def read(self) -> None:
        try:
            while True:
                self.heard.append(await self.msg.recv())
                self.changed.set()
        except EOFError:
            return

    async def expect(self, *start: Any) -> Any:
        """Wait for a message that begins like this."""
        while True:
            for msg in self.heard:
                if msg[: len(start)] == list(start):
                    return msg
            self.changed = rt.Event()
            await self.changed.wait()

    async def open(self, ident: int) -> None:
        self.heard.clear()
        await self.msg.send([HELLO, VERSION, ident, None, LIMIT, {}])
        hello = await self.expect(HELLO, VERSION)
        await self.msg.send([HELLO, VERSION, ident, hello[2], LIMIT, {}])


idents = st.integers(1, 3) | st.sampled_from([-1, 0, 4, 5, 255, 256, None])
paths = st.sampled_from(
    [["app", "add"], ["app", "wait"], ["app", "sum"], ["next", "x"], ["next", "next", "x"], "anx",
     [], "", [[]], [None], ["app"], ["next"], [b"app", "add"]],
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=3)
anything = st.recursive(
    scalars | st.binary(max_size=9),
    lambda sub: st.lists(sub, max_size=5) | st.dictionaries(st.integers(0, 9), sub, max_size=3),
    max_leaves=9,
)
data = st.sampled_from([b"\x91\x01", b"", b"\x01", b"\x92\x01", b"\xa8" + bytes(8), bytes(500)])
numbers = st.sampled_from([0, 1, 5, 100, 2**32 - 1]) | anything
known = st.fixed_dictionaries(
    {},
    optional={
        DEADLINE: st.sampled_from([0, 1, 2**40, -5]),
        TRACE: st.lists(st.lists(scalars, max_size=3) | scalars, max_size=90) | anything,
        TRACEBACK: st.booleans() | st.text(max_size=5),
        KEEP: st.integers(-1, 2**32),
        AT: st.lists(scalars, max_size=90) | anything,
        77: anything,
    },
)
options = known | anything
errors = st.lists(st.sampled_from(["KeyError", "Odd", 5, None, [[]], {}]), max_size=3) | anything
messages = (
    st.tuples(st.sampled_from([REPLY, ERROR]), st.just(1), data | errors, options)
    | st.tuples(st.just(CALL), idents, paths, data | anything, st.none() | numbers, options)
    | st.tuples(st.just(CALL), idents, paths)
    | st.tuples(st.just(REPLY), idents, data | anything, options)
    | st.tuples(st.just(ERROR), idents, errors, options)
    | st.tuples(st.sampled_from([5, 9]), idents, data | anything, numbers)
    | st.tuples(st.sampled_from([6, 7, 10, 11]), idents, numbers)
    | st.tuples(st.integers(-1, 12), idents, anything)
    | st.lists(anything, max_size=4).map(tuple)
    | st.tuples(st.just(HELLO), st.sampled_from([1, VERSION]), anything, anything, numbers)
).filter(lambda msg: msg[:1] != (8,))  # for a session, a bye is nothing special


BEGUN: list[tuple[int, Any]] = [
    (0, (CALL, 1, ["next", "x"], b"", None, {TRACE: []})),
    (0, (CALL, 2, ["next", "x"], b"", 100, {DEADLINE: 10_000})),
    (0, (CALL, 3, ["app", "sum"], b"", 100, {KEEP: 2})),
    (0, (CALL, 4, ["app", "wait"])),
    (1, (10, 2, 30)),
]  # what they may be about


async def survives(said: list[tuple[int, Any]]) -> None:
    """Have two peers of a hop say all this; then both links still work."""
    near, a = buf_pair(1 << 20, 1 << 20)
    far, b = buf_pair(1 << 20, 1 << 20)
    root = Dispatch({"app": App()})
    root.sub["next"] = link = LinkCmd()
    link.cmd = CmdMsg(MsgpackMsgBuf(far), root, path=["next"], name="hop", window=50)
    back = CmdMsg(MsgpackMsgBuf(near), root, path=["back"], name="hop", window=50)
    peers = Peer(a), Peer(b)
    async with back, link.cmd, peers[0].msg, peers[1].msg, rt.TaskGroup() as tasks:
        for i, peer in enumerate(peers):
            tasks.start_soon(peer.read)
            await peer.open(PEER + (i << 12))
        for side, msg in BEGUN + said:
            await peers[side].msg.send(list(msg))
            await rt.sleep_ms(0)
            for cmd in (back, link.cmd):
                assert len(cmd.core.out) < 300
        for i, peer in enumerate(peers):
            await peer.open(PEER + (i + 2 << 12))
        await peers[0].msg.send([CALL, 200, ["app", "add"], b"\x91\x01"])
        assert await peers[0].expect(REPLY, 200) == [REPLY, 200, b"\x03"]
        await peers[0].msg.send([CALL, 201, ["next", "hello"], b"\x91\x01"])
        call = await peers[1].expect(CALL)
        while call[2] != ["hello"]:
            peers[1].heard.remove(call)
            call = await peers[1].expect(CALL)
        await peers[1].msg.send([REPLY, call[1], b"\x07"])
        assert await peers[0].expect(REPLY, 201) == [REPLY, 201, b"\x07"]
        tasks.cancel()


@given(st.lists(st.tuples(st.sampled_from([0, 0, 1]), messages), min_size=5, max_size=60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_hop_survives_whatever_its_peers_say(said: list[tuple[int, Any]]) -> None:
    async def run() -> None:
        with anyio.fail_after(20):
            await survives(said)

    anyio.run(run)


@pytest.mark.parametrize("side", [0, 1])
async def test_what_the_search_begins_with(side: int) -> None:
    await survives([(side, (CALL, 1, ["next", "x"], b"", 10, {})), (side, (REPLY, 1, 5, {AT: 5}))])
