"""The apps for I2C, SPI and chains of LEDs, on a simulated board."""

from _apps import call
from _helpers import raises
from _pins import app, refused

import moat.micro.sim.board as board

I2C, SPI, PIXEL = "i2c:I2cCmd", "spi:SpiCmd", "neopixel:PixelCmd"

# ---- I2C


async def test_scan_finds_who_answers():
    async with app(I2C, scl=1, sda=0) as a:
        assert await a.call("scan") == []
        board.i2c[0][0x23] = board.Memory(b"abc")
        board.i2c[0][0x76] = board.Memory(b"abc")
        assert await a.call("scan") == [0x23, 0x76]


async def test_registers():
    async with app(I2C, id=1) as a:
        board.i2c[1][0x23] = memory = board.Memory(bytes(range(16)))
        assert await a.call("read_reg", 0x23, 5, 3) == b"\x05\x06\x07"
        assert await a.call("read", 0x23) == b"\x08"
        await a.call("write_reg", 0x23, 14, b"xy")
        assert memory.data[14:] == b"xy"
        await a.call("write", 0x23, b"\x02ab")
        assert memory.data[2:4] == b"ab"
        await a.call("write_reg", 0x23, 0x0104, b"z", bits=16)
        assert memory.data[1:3] == b"\x04z"
        async with a.stream("watch", 0x23, 14, 2, interval_ms=1) as st:
            assert await st.recv() == b"xy"
            memory.data[15] = 33
            while await st.recv() != b"x!":
                pass


async def test_who_does_not_answer_is_an_os_error():
    async with app(I2C) as a:
        for name, args in (
            ("read", (0x23, 1)),
            ("write", (0x23, b"a")),
            ("read_reg", (0x23, 1)),
            ("write_reg", (0x23, 1, b"a")),
        ):
            with raises(OSError) as info:
                await a.call(name, *args)
            assert info.exc.args == (5, "no answer from 0x23")


async def test_only_addresses_that_are_allowed():
    async with app(I2C, allow=[0x23]) as a:
        for addr in (0x23, 0x24):
            board.i2c[0][addr] = board.Memory(b"abc")
        assert await a.call("scan") == [0x23]
        assert await a.call("read", 0x23) == b"a"
        with raises(ValueError) as info:
            await a.call("write", 0x24, b"\x00x")
        assert str(info.exc) == "addr: 0x24 is none of those that are allowed"
        assert board.i2c[0][0x24].data == b"abc"


async def test_limits_of_i2c():
    async with app(I2C) as a:
        board.i2c[0][0x23] = board.Memory(b"abc")
        for name, args in (
            ("read", (0x23, 257)),
            ("read", (128, 1)),
            ("write", (0x23, bytes(257))),
            ("read_reg", (0x23, 256)),
            ("read_reg", (0x23, 1, 1, 12)),
        ):
            with raises(ValueError):
                await a.call(name, *args)


async def test_the_pins_of_i2c_are_free_when_it_is_stopped():
    async with app(I2C, scl=1, sda=0) as a:
        assert board.wire(1).facts()["mode"] == "alt"
        await call(a.root, ["a", "stp_"])
        facts = board.wire(1).facts()
        assert (facts["mode"], facts["pull"]) == ("in", "none")


# ---- SPI


async def test_spi_writes_reads_and_does_both():
    async with app(SPI, sck=2, mosi=3, miso=4) as a:
        bus = board.bus(0)
        await a.call("write", b"abc")
        assert bus.sent == b"abc"
        bus.answer = b"xyz"
        assert await a.call("read", 2, 255) == b"xy"
        assert bus.sent == b"\xff\xff"
        assert await a.call("exchange", b"q", 2) == b"z\x00\x00"
        assert bus.sent == b"q\x00\x00"
        for name, args in (("read", (1025,)), ("read", (1, 256)), ("exchange", (bytes(1000), 25))):
            with raises(ValueError):
                await a.call(name, *args)


async def test_the_device_is_selected_while_it_is_talked_to():
    seen = []
    for high in (False, True):
        async with app(SPI, cs=5, cs_high=high, polarity=1, phase=1, baudrate=5000) as a:
            seen.clear()
            board.watchers.append(lambda wire: seen.append((wire.n, wire.level)))
            board.bus(0).options = []
            await a.call("write", b"a")
            assert seen == [(5, int(high)), (5, int(not high))]
            assert board.bus(0).options == [5000, 1, 1]
            await call(a.root, ["a", "stp_"])
            assert board.wire(5).facts()["mode"] == "in"


# ---- LEDs


async def test_colours_in_the_order_of_the_line():
    async with app(PIXEL, pin=7, n=3) as a:
        sent = board.wire(7)
        assert sent.pixels == bytes(9)
        await a.call("set", [[1, 2, 3], [4, 5, 6]], 1)
        assert sent.pixels == bytes([0, 0, 0, 2, 1, 3, 5, 4, 6])
        assert await a.call("get") == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
        await a.call("fill", [9, 8, 7])
        assert sent.pixels == bytes([8, 9, 7] * 3)
        await a.call("off")
        assert sent.pixels == bytes(9)


async def test_white_and_the_highest_level():
    async with app(PIXEL, pin=7, n=1, order="RGBW", max_level=100) as a:
        await a.call("fill", [1, 2, 255, 101])
        assert board.wire(7).pixels == bytes([1, 2, 100, 100])
        for args in (([[1, 2, 3]],), ([[1, 2, 3, 256]],), ([], 1), ([[0] * 4] * 2,)):
            with raises(ValueError):
                await a.call("set", *args)


async def test_the_leds_are_off_when_the_app_is_stopped():
    async with app(PIXEL, pin=7, n=1) as a:
        await a.call("fill", [1, 2, 3])
        await call(a.root, ["a", "stp_"])
        assert board.wire(7).pixels == bytes(3)
        assert board.wire(7).facts()["mode"] == "in"


# ---- settings


async def test_settings_that_make_no_sense():
    for spec, settings, text in (
        (I2C, {"scl": 0}, "ValueError: bad SCL pin"),
        (I2C, {"id": 3}, "ValueError: I2C(3) doesn't exist"),
        (I2C, {"freq": 10}, "ValueError: freq: 10 is no number from 1000 to 1000000"),
        (I2C, {"allow": 3}, "ValueError: allow: this is no list of addresses"),
        (I2C, {"allow": [128]}, "ValueError: allow: 128 is no number from 0 to 127"),
        (I2C, {"soft": True}, "ValueError: soft: it needs the keys 'scl' and 'sda'"),
        (SPI, {"phase": 2}, "ValueError: phase: 2 is no number from 0 to 1"),
        (SPI, {"lsb": True}, "NotImplementedError: LSB"),
        (PIXEL, {"pin": 7}, "ValueError: the key 'n' is missing"),
        (PIXEL, {"pin": 7, "n": 0}, "ValueError: n: 0 is no number from 1 to 1024"),
        (
            PIXEL,
            {"pin": 7, "n": 1, "order": "RGG"},
            "ValueError: order: 'RGG' is no order of RGB or RGBW",
        ),
    ):
        assert (await refused(spec, **settings)).startswith(text), text
