"""The app for analog inputs, on a simulated board."""

from _helpers import raises, settle
from _pins import app, refused
from _ports import many

import moat.micro.sim.board as board

ADC = "adc:AdcCmd"


def test_a_value_has_twelve_bits():
    from moat.micro import hw

    board.reset()
    adc = hw.part("ADC")(26)
    for value, read in ((0, 0), (0x1234, 0x1231), (65535, 65535)):
        board.analog[0] = value
        assert adc.read_u16() == read


async def test_the_value_of_a_pin_or_a_channel():
    async with app(ADC, pin=27) as a:
        assert await a.call("get") == 0
        board.analog[1] = 0x8000
        assert await a.call("get") == 0x8008
    async with app(ADC, channel=4) as a:
        board.analog[4] = 0x4000
        assert await a.call("get") == 0x4004


class Noise(dict):
    """Measures other values each time."""

    def get(self, channel, default=None):
        return self.values.pop(0)


async def test_the_mean_of_samples():
    board.analog, real = Noise(), board.analog
    try:
        board.analog.values = [0, 0x1000, 0x2000, 0x1000]
        async with app(ADC, pin=26, samples=4) as a:
            assert await a.call("get") == 0x1001
    finally:
        board.analog = real


async def test_values_as_a_stream():
    async with app(ADC, pin=26) as a, a.stream("watch", interval_ms=1) as st:
        assert await st.recv() == 0
        board.analog[0] = 65535
        while await st.recv() != 65535:
            pass
        assert await many(st.recv, 2) == [65535, 65535]


async def test_only_values_that_differ():
    async with app(ADC, pin=26) as a, a.stream("watch", interval_ms=1, change=0x1000) as st:
        assert await st.recv() == 0
        for value in (0x800, 0x1800, 0x2700, 0x900, 0x900):
            board.analog[0] = value
            await settle()
            await a.call("get")
        board.analog[0] = 0xF000
        last = 0
        while last != 0xF00F:
            value = await st.recv()
            assert abs(value - last) >= 0x1000
            last = value
        for kw in ({"interval_ms": 0}, {"change": -1}):
            async with a.stream("watch", **kw) as other:
                with raises(ValueError):
                    await other.recv()


async def test_settings_that_make_no_sense():
    for settings, text in (
        ({}, "ValueError: either `pin` or `channel` is needed"),
        ({"pin": 26, "channel": 0}, "ValueError: either `pin` or `channel` is needed"),
        ({"pin": 3}, "ValueError: Pin doesn't have ADC capabilities"),
        ({"pin": 26, "samples": 0}, "ValueError: samples: 0 is no number from 1 to 256"),
        ({"pin": 26, "atten": 3}, "ValueError: atten: 3 is none of: "),
        ({"pin": 26, "atten": 6}, "ValueError: atten: this board has none"),
    ):
        assert (await refused(ADC, **settings)).startswith(text), text
