"""The app for pulse width modulation, on a simulated board."""

from _apps import call
from _helpers import raises
from _pins import app, refused

import moat.micro.sim.board as board

PWM = "pwm:PwmCmd"


def pwm():
    return board.wire(6).pwm


async def test_duty_and_frequency():
    async with app(PWM, pin=6, min_freq=50, max_freq=2000) as a:
        assert pwm() == [1000, 0]
        await a.call("set", 30000)
        assert pwm() == [1000, 30000]
        await a.call("set", freq=50)
        assert pwm() == [50, 30000]
        await a.call("set", 1, 2000)
        assert pwm() == [2000, 1]
        assert await a.call("get") == {"duty": 1, "freq": 2000}
        await a.call("off")
        assert pwm() == [2000, 0]


async def test_limits():
    async with app(PWM, pin=6, freq=50, duty=3000, max_duty=8000) as a:
        assert pwm() == [50, 3000]
        for args in ((8001,), (-1,), (3000, 51), (3000, 49), ("x",)):
            with raises(ValueError):
                await a.call("set", *args)
            assert pwm() == [50, 3000]


async def test_the_inverse():
    async with app(PWM, pin=6, duty=1000, invert=True) as a:
        assert pwm() == [1000, 64535]
        assert await a.call("get") == {"duty": 1000, "freq": 1000}


async def test_it_is_off_and_the_pin_free_when_it_is_stopped():
    async with app(PWM, pin=6, duty=1000) as a:
        duties = []
        board.watchers.append(lambda wire: duties.append(wire.pwm))
        await call(a.root, ["a", "stp_"])
        assert duties[0] == [1000, 0]
        facts = board.wire(6).facts()
        assert (facts["mode"], facts["pwm"]) == ("in", None)


async def test_settings_that_make_no_sense():
    for settings, text in (
        ({"pin": 6, "freq": 0}, "ValueError: freq: 0 is no number from 1 to 40000000"),
        ({"pin": 6, "freq": 3}, "ValueError: freq too small"),
        ({"pin": 6, "duty": 9, "max_duty": 8}, "ValueError: duty: 9 is no number from 0 to 8"),
        ({"pin": 6, "min_freq": 2000}, "ValueError: min_freq: 2000 is no number from 1 to 1000"),
        (
            {"pin": 6, "max_freq": 10},
            "ValueError: max_freq: 10 is no number from 1000 to 40000000",
        ),
    ):
        assert await refused(PWM, **settings) == text
