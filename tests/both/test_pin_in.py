"""The app for inputs, on simulated pins."""

from _apps import call
from _helpers import raises, settle, until
from _pins import app, refused
from _ports import many

import moat.micro.sim.board as board
from moat.micro import rt
from moat.micro.clock import unix_us
from moat.micro.errors import NotReadyError

IN = "pin:PinIn"


def drive(n, *levels):
    """Drive a pin from outside."""
    for level in levels:
        board.wire(n).outside = level
        board.wire(n).changed()


def armed(n):
    """Whether a program waits for edges of a pin."""
    irq = board.wire(n).irq
    return irq is not None and irq[0] is not None


async def test_the_level():
    async with app(IN, pin=3) as a:
        assert await a.call("get") == 0
        drive(3, 1)
        assert await a.call("get") == 1


async def test_pulls_and_the_inverse():
    async with app(IN, pin=3, pull="up", invert=True) as a:
        assert await a.call("get") == 0
        drive(3, 0)
        assert await a.call("get") == 1
    async with app(IN, pin="GP4", pull="down") as a:
        assert board.wire(4).facts()["pull"] == "down"


async def test_edges_arrive_as_a_stream_and_their_times_are_those_of_the_clock():
    began = unix_us()
    async with app(IN, pin=3) as a, a.stream("watch") as st:
        level, first, lost = await st.recv()
        assert (level, lost) == (0, 0)
        drive(3, 1, 0, 1)
        got = await many(st.recv, 3)
        assert [edge[0] for edge in got] == [1, 0, 1]
        assert [edge[2] for edge in got] == [0, 0, 0]
        times = [first] + [edge[1] for edge in got]
        assert times == sorted(times)
        assert began - 20000 <= first
        assert times[-1] <= unix_us() + 20000


async def test_the_interrupt_is_armed_only_while_somebody_watches():
    async with app(IN, pin=3) as a:
        assert not armed(3)
        async with a.stream("watch") as one, a.stream("watch") as two:
            await one.recv()
            await two.recv()
            assert armed(3)
            drive(3, 1)
            assert (await one.recv())[0] == (await two.recv())[0] == 1
        await until(lambda: not armed(3))


async def test_what_is_not_noted_in_time_is_counted():
    async with app(IN, pin=3) as a, a.stream("watch") as st:
        await st.recv()
        drive(3, *[1, 0] * 50)
        level, _, lost = await st.recv()
        assert (level, lost) == (1, 36)
        for i in range(63):
            level, _, lost = await st.recv()
            assert (level, lost) == (i % 2, 0)


async def test_one_sort_of_edges():
    async with app(IN, pin=3) as a, a.stream("watch", "falling") as st:
        await st.recv()
        drive(3, 1, 0, 1, 0)
        assert [edge[0] for edge in await many(st.recv, 2)] == [0, 0]
        async with a.stream("watch", "odd") as other:
            with raises(ValueError):
                await other.recv()


async def test_bounces_are_left_out():
    async with app(IN, pin=3, debounce_ms=20) as a, a.stream("watch") as st:
        assert (await st.recv())[0] == 0
        drive(3, 1, 0, 1)
        assert (await st.recv())[0] == 1
        drive(3, 0)  # a bounce, too; it is told when it has lasted
        level, _, lost = await st.recv()
        assert (level, lost) == (0, 0)


async def test_wait_for_a_level():
    log = []
    async with app(IN, pin=3) as a, rt.TaskGroup() as tasks:

        async def wait(level):
            log.append(await a.call("wait", level))

        await wait(0)  # it has that already
        tasks.start_soon(wait, 1)
        await until(lambda: armed(3))
        await settle()
        assert log == [None]
        drive(3, 1, 0)  # a short one counts
        await until(lambda: len(log) == 2)
        with raises(ValueError):
            await a.call("wait", 2)


async def test_a_stream_ends_when_the_app_is_stopped_and_the_pin_is_free():
    async with app(IN, pin=3, pull="up") as a, a.stream("watch") as st:
        await st.recv()
        await call(a.root, ["a", "stp_"])
        assert not armed(3)
        assert board.wire(3).facts()["pull"] == "none"
        with raises(NotReadyError):
            await st.recv()


async def test_settings_that_make_no_sense():
    for settings, text in (
        ({}, "ValueError: the key 'pin' is missing"),
        ({"pin": 99}, "ValueError: invalid pin"),
        ({"pin": "GP99"}, "ValueError: invalid pin"),
        ({"pin": [3]}, "ValueError: pin: [3] is neither the number nor the name of a pin"),
        ({"pin": 3, "pull": "sideways"}, "ValueError: pull: 'sideways' is none of: up, down"),
        ({"pin": 3, "invert": 1}, "ValueError: invert: 1 is neither true nor false"),
        (
            {"pin": 3, "debounce_ms": -1},
            "ValueError: debounce_ms: -1 is no number from 0 to 10000",
        ),
        ({"pin": 3, "puul": 1}, "ValueError: unknown key 'puul'; allowed: "),
    ):
        assert (await refused(IN, **settings)).startswith(text), text
