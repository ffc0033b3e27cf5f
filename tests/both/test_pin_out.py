"""The app for outputs, on simulated pins."""

from _apps import call
from _helpers import raises, until
from _pins import app, refused

import moat.micro.sim.board as board
from moat.micro import rt
from moat.micro.errors import InUseError

OUT = "pin:PinOut"


def level(n=5):
    return board.wire(n).level


async def test_set_get_and_toggle():
    async with app(OUT, pin=5) as a:
        assert board.wire(5).facts()["mode"] == "out"
        assert (await a.call("get"), level()) == (0, 0)
        await a.call("set", 1)
        assert (await a.call("get"), level()) == (1, 1)
        await a.call("set", False)
        assert (await a.call("get"), level()) == (0, 0)
        assert await a.call("toggle") == 1
        assert level() == 1
        with raises(ValueError):
            await a.call("set", 2)
        assert level() == 1


async def test_the_first_value_and_the_inverse():
    async with app(OUT, pin=5, value=1) as a:
        assert (await a.call("get"), level()) == (1, 1)
    async with app(OUT, pin=5, invert=True) as a:
        assert (await a.call("get"), level()) == (0, 1)
        await a.call("set", 1)
        assert (await a.call("get"), level()) == (1, 0)


async def test_open_drain():
    async with app(OUT, pin=5, open_drain=True, value=1) as a:
        board.wire(5).outside = 1
        assert level() == 1
        await a.call("set", 0)
        assert level() == 0


async def test_it_is_an_input_when_it_is_stopped():
    async with app(OUT, pin=5, value=1) as a:
        await call(a.root, ["a", "stp_"])
        assert board.wire(5).facts()["mode"] == "in"


async def test_a_pulse():
    async with app(OUT, pin=5) as a, rt.TaskGroup() as tasks:
        levels = []
        board.watchers.append(lambda wire: levels.append(wire.level))
        await a.call("pulse", 1)
        assert levels == [1, 0]
        await a.call("pulse", 1, 0)
        assert levels == [1, 0, 0, 1]
        task = tasks.start_soon(a.call, "pulse", 100000)
        await until(lambda: len(levels) == 5)
        with raises(InUseError):
            await a.call("pulse", 1)
        with raises(ValueError):
            await a.call("pulse", 0)
        task.cancel()
        await until(lambda: len(levels) == 6)
        assert level() == 0


async def test_it_is_not_on_for_longer_than_it_may():
    async with app(OUT, pin=5, max_on_ms=30) as a:
        began = rt.ticks_ms()
        await a.call("set", 1)
        await until(lambda: level() == 0)
        assert rt.ticks_diff(rt.ticks_ms(), began) >= 30
        assert await a.call("get") == 0
        await a.call("set", 1)
        assert level() == 1
        with raises(ValueError):
            await a.call("pulse", 31)


async def test_driving_it_again_does_not_make_the_time_start_anew():
    async with app(OUT, pin=5, max_on_ms=30) as a:
        levels = []
        board.watchers.append(lambda wire: levels.append(wire.level))
        while 0 not in levels:
            await a.call("set", 1)
            await rt.sleep_ms(1)


async def test_settings_that_make_no_sense():
    for settings, text in (
        ({"pin": 5, "value": 2}, "ValueError: value: 2 is no number from 0 to 1"),
        ({"pin": 5, "max_on_ms": 0}, "ValueError: max_on_ms: 0 is no number from 1 to 86400000"),
        ({"pin": True}, "ValueError: pin: True is neither the number nor the name of a pin"),
    ):
        assert await refused(OUT, **settings) == text
