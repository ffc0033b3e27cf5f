"""msgpack: PyPI's on CPython, the project's on MicroPython. What holds for both is tested here."""

import json
from array import array
from collections import namedtuple

import msgpack
from _helpers import ON_DEVICE, raises
from msgpack import ExtraData, ExtType, packb, unpackb

DEVICE_ONLY = (
    "test_a_declared_length_allocates_nothing",
    "test_a_small_message_takes_little_heap",
)

_HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
_VECTORS = _HERE + "/../unit/data/msgpack-test-suite.jsonl"


def _unhex(text):
    return bytes([int(h, 16) for h in text.split("-") if h])


def _value(case):
    """The value of a vector."""
    if "bignum" in case:
        return int(case["bignum"])
    if "binary" in case:
        return _unhex(case["binary"])
    if "timestamp" in case:
        return msgpack.Timestamp(*case["timestamp"])
    if "ext" in case:
        return ExtType(case["ext"][0], _unhex(case["ext"][1]))
    return next(v for k, v in case.items() if k not in ("group", "msgpack"))


def test_vectors():
    with open(_VECTORS) as f:
        cases = [json.loads(line) for line in f][1:]
    assert len(cases) == 85
    for case in cases:
        value = _value(case)
        encodings = [_unhex(h) for h in case["msgpack"]]
        if not isinstance(value, dict) or len(value) < 2:  # MicroPython's dicts have no order
            assert packb(value) in encodings, case
        for data in encodings:
            assert unpackb(data) == value, case


def test_integers_are_exact():
    sizes = ((0, 1), (7, 1), (8, 2), (16, 3), (32, 5), (63, 9), (64, 9))
    for bits in range(65):
        size = next(s for b, s in sizes if b >= bits)
        for n in ((1 << bits) - 1, (1 << bits) // 2 + 1):
            data = packb(n)
            assert len(data) == size, n
            back = unpackb(data)
            assert back == n
            assert type(back) is int
    for n, size in ((-32, 1), (-33, 2), (-128, 2), (-129, 3), (-32768, 3), (-32769, 5)):
        assert len(packb(n)) == size
        assert unpackb(packb(n)) == n
    for n in (-(1 << 31), -(1 << 31) - 1, -(1 << 63), -(1 << 63) + 1, -1234567890123456789):
        assert unpackb(packb(n)) == n
    assert packb(-(1 << 63)) == b"\xd3\x80" + bytes(7)
    for n in (1 << 64, -(1 << 63) - 1, 1 << 200, -(1 << 200)):
        with raises(OverflowError):
            packb(n)


def test_floats_are_doubles():
    assert packb(1.5) == b"\xcb\x3f\xf8" + bytes(6)
    assert packb(-1.5, use_single_float=True) == b"\xca\xbf\xc0\0\0"
    for x in (0.0, 1.0, -2.5, 0.1, 1e30, 1.17549435e-38, -3.25e-20, float("inf"), -float("inf")):
        assert unpackb(packb(x)) == x
        assert type(unpackb(packb(x))) is float
    nan = unpackb(packb(float("nan")))
    assert nan != nan
    for data in (b"\x80" + bytes(7), bytes(8)):
        assert packb(unpackb(b"\xcb" + data)) == b"\xcb" + data  # the sign of zero


def test_what_a_float_cannot_hold_is_rounded():
    # Doubles between two 32-bit floats, and what a board with 32-bit floats makes of them. Where
    # floats have 64 bits each comes back as it was.
    single = 1.0 + 2.0**-30 == 1.0
    for double, rounded in (
        ("3ff0000010000000", "3ff0000000000000"),  # half way: to the even one
        ("3ff0000010000001", "3ff0000020000000"),
        ("3ff0000030000000", "3ff0000040000000"),
        ("3fb999999999999a", "3fb99999a0000000"),  # 0.1
        ("c00921fb54442d18", "c00921fb60000000"),  # -pi
        ("47efffffefffffff", "47efffffe0000000"),  # the greatest
        ("7e37e43c8800759c", "7ff0000000000000"),  # 1e300
        ("fe37e43c8800759c", "fff0000000000000"),
        ("01a56e1fc2f8f359", "0000000000000000"),  # 1e-300
        ("81a56e1fc2f8f359", "8000000000000000"),
        ("3690000000000001", "36a0000000000000"),  # the smallest
    ):
        data = b"\xcb" + bytes([int(double[i : i + 2], 16) for i in range(0, 16, 2)])
        expected = b"\xcb" + bytes([int(rounded[i : i + 2], 16) for i in range(0, 16, 2)])
        assert packb(unpackb(data)) == (expected if single else data), double


def test_texts_and_bytes():
    for n in (0, 1, 31, 32, 255, 256, 65535, 65536):
        for x in ("x" * n, "é" * n, "\U0001f600" * (n // 4), bytes(n), b"\xff" * n):
            back = unpackb(packb(x))
            assert back == x
            assert type(back) is type(x)
    assert packb("ä") == b"\xa2\xc3\xa4"
    for x in (bytearray(b"abc"), memoryview(b"xabcx")[1:4], memoryview(bytearray(b"abc"))):
        assert packb(x) == b"\xc4\3abc"
    assert packb(memoryview(array("H", [1, 2]))) == packb(bytes(array("H", [1, 2])))
    assert unpackb(packb("ä"), raw=True) == b"\xc3\xa4"
    assert unpackb(b"\xd9\1a", raw=True) == b"a"


def test_containers():
    for n in (0, 1, 15, 16, 255, 256) if ON_DEVICE else (0, 1, 15, 16, 255, 256, 65535, 65536):
        x = {str(i): i for i in range(n)}
        assert unpackb(packb(x)) == x
        assert unpackb(packb([n] * n)) == [n] * n
    assert packb((1, (2, []), {})) == b"\x93\1\x92\2\x90\x80"
    x = {"a": [1, {"b": None, "c": [True, False]}, "d"], "e": {"f": {}}, b"g": [[[]], []]}
    assert unpackb(packb(x)) == x
    assert unpackb(packb([x, x, [x]])) == [x, x, [x]]


def test_keys():
    assert unpackb(b"\x82\xa1a\1\xc4\1b\2") == {"a": 1, b"b": 2}
    for key in (b"\1", b"\xc0", b"\xc2", b"\xcb" + bytes(8)):
        data = b"\x81" + key + b"\2"
        with raises(ValueError):
            unpackb(data)
        assert unpackb(data, strict_map_key=False) == {unpackb(key): 2}
    for key in (b"\x90", b"\x80", b"\x91\1"):
        with raises(ValueError):
            unpackb(b"\x81" + key + b"\2")
        with raises(ValueError if ON_DEVICE else TypeError):
            unpackb(b"\x81" + key + b"\2", strict_map_key=False)


def test_object_hook():
    seen = []

    def hook(dct):
        seen.append(dct)
        return sorted(dct)

    data = b"\x92\x81\xa1a\x80\xdf\0\0\0\1\xa1b\x93\1\2\3"
    assert unpackb(data, object_hook=hook) == [["a"], ["b"]]
    assert seen == [{}, {"a": []}, {"b": [1, 2, 3]}]
    assert unpackb(b"\x80", object_hook=hook) == []


def test_extensions():
    for n in (0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 255, 256, 65536):
        x = ExtType(42, b"x" * n)
        data = packb(x)
        assert unpackb(data) == x
        assert len(data) == n + (
            2 if n in (1, 2, 4, 8, 16) else 3 if n < 256 else 4 if n < 65536 else 6
        )
    x = unpackb(b"\xd4\x05a")
    assert isinstance(x, ExtType)
    assert isinstance(x, tuple)
    assert (x.code, x.data) == (5, b"a")
    assert tuple(x) == (5, b"a")
    got = []
    assert unpackb(b"\x92\xd4\xfea\xc7\0\x7f", ext_hook=lambda *a: got.append(a)) == [None, None]
    assert got == [(-2, b"a"), (127, b"")]
    with raises(ValueError):
        unpackb(b"\xd4\xfea")
    for code, data, error in (
        (128, b"", ValueError),
        (-1, b"", ValueError),
        ("1", b"", TypeError),
    ):
        with raises(error):
            packb(ExtType(code, data))
    with raises(TypeError):
        packb(ExtType(1, "a"))


def test_timestamps():
    for s, ns, size in (
        (0, 0, 6), (1, 0, 6), ((1 << 32) - 1, 0, 6), (0, 1, 10), (1 << 32, 0, 10),
        ((1 << 34) - 1, 999999999, 10), (1 << 34, 0, 15), (-1, 999999999, 15),
        (-(1 << 63), 5, 15), ((1 << 63) - 1, 0, 15),
    ):  # fmt: skip
        t = msgpack.Timestamp(s, ns)
        assert len(packb(t)) == size
        back = unpackb(packb([t]))[0]
        assert back == t
        assert (back.seconds, back.nanoseconds) == (s, ns)
        assert msgpack.Timestamp.from_bytes(t.to_bytes()) == t
    t = msgpack.Timestamp(3, 500000000)
    assert t.to_unix_nano() == 3500000000
    assert t.to_unix() == 3.5
    assert msgpack.Timestamp.from_unix_nano(-1) == msgpack.Timestamp(-1, 999999999)
    assert msgpack.Timestamp.from_unix(-0.5) == msgpack.Timestamp(-1, 500000000)
    assert t != msgpack.Timestamp(3)
    assert {t: 1}[msgpack.Timestamp(3, 500000000)] == 1
    for data in (b"\xd4\xffa", b"\xc7\3\xffabc", b"\xd7\xff" + b"\xff" * 8):
        with raises(ValueError):
            unpackb(data)


def test_default():
    class Thing:
        pass

    with raises(TypeError):
        packb([Thing()])
    assert packb([Thing(), 1], default=lambda x: {"a": [2]}) == b"\x92\x81\xa1a\x91\2\1"
    with raises(TypeError):
        packb(Thing(), default=lambda x: Thing())
    with raises(TypeError):
        packb({1, 2})
    assert packb({"a": {1}}, default=list) == b"\x81\xa1a\x91\1"
    with raises(ZeroDivisionError):
        packb([1, Thing()], default=lambda x: 1 // 0)


def test_subclasses():
    class Int(int):
        pass

    class Float(float):
        pass

    class Str(str):
        pass

    class List(list):
        pass

    class Dict(dict):
        pass

    point = namedtuple("Point", ("x", "y"))
    data = packb([Int(5), Int(70000), Float(-0.0), Str("ä"), List([1]), Dict(a=2), point(3, 4)])
    assert data == (
        b"\x97\5\xce\0\1\x11\x70\xcb\x80\0\0\0\0\0\0\0\xa2\xc3\xa4\x91\1\x81\xa1a\2\x92\3\4"
    )
    assert packb([True, 1, False, 0]) == b"\x94\xc3\1\xc2\0"


def test_bad_data_is_a_value_error():
    data = packb([1, "abc", {"k": b"\1\2\3", "l": [300, -70000, 1.5, None]}, ExtType(3, b"123")])
    for i in range(len(data)):
        with raises(ValueError) as r:
            unpackb(data[:i])
        assert not isinstance(r.exc, ExtraData)
    for bad in (b"\xa2\xc3\x28", b"\xa1\xff", b"\xd9\1\x80", b"\x81\xa1\xc0\1", b"\xa1\xc3"):
        with raises(ValueError):
            unpackb(bad)
    for bad in (b"\xc1", b"\x92\1\xc1", b"\x81\xc1\1"):
        with raises(msgpack.FormatError) as r:
            unpackb(bad)
        assert isinstance(r.exc, ValueError)
        assert isinstance(r.exc, msgpack.UnpackException)


def test_extra_data():
    with raises(ExtraData) as r:
        unpackb(memoryview(b"\x91\1\xa1a\2"))
    assert r.exc.unpacked == [1]
    assert bytes(r.exc.extra) == b"\xa1a\2"
    assert isinstance(r.exc, ValueError)
    assert "extra data" in str(r.exc)
    with raises(ExtraData) as r:
        unpackb(b"\xc0\xc1")
    assert r.exc.unpacked is None
    assert bytes(r.exc.extra) == b"\xc1"


def test_nesting_is_limited():
    x = []
    for _ in range(31):
        x = [x]
    assert unpackb(packb(x)) == x
    for unit in (b"\x91", b"\x81\xa0", b"\xdc\0\1"):
        with raises(msgpack.StackError) as r:
            unpackb(unit * 5000)
        assert isinstance(r.exc, ValueError)
    for _ in range(2000):
        x = [x]
    with raises(ValueError):
        packb(x)
    x = {}
    x["x"] = x
    with raises(ValueError):
        packb(x)


def test_hooks_may_pack_and_unpack():
    class Thing:
        pass

    nested = ExtType(1, packb([1, ExtType(1, packb("x"))]))

    def hook(_code, data):
        return unpackb(data, ext_hook=hook)

    assert unpackb(packb([nested, 2]), ext_hook=hook) == [[1, "x"], 2]
    data = packb([Thing(), 3], default=lambda x: packb([1, "abc"]))
    assert unpackb(data) == [b"\x92\1\xa3abc", 3]


def test_options_that_are_not_there():
    with raises(TypeError):
        packb(1, no_such_option=True)
    with raises(TypeError):
        unpackb(b"\1", no_such_option=True)
    with raises(AttributeError):
        msgpack.no_such_name  # noqa: B018 -- that is the test


def _allocated(fn):
    import gc

    fn()  # what the first call imports or caches does not count
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    fn()
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def test_a_declared_length_allocates_nothing():
    def attempts():
        for head in (b"\xdd\x7f\xff\xff\xff", b"\xdf\x7f\xff\xff\xff", b"\xc6\x10\0\0\0",
                     b"\xdb\x10\0\0\0", b"\xc9\x10\0\0\0\1", b"\xdc\xff\xff\0"):  # fmt: skip
            try:
                unpackb(head + b"abc")
            except ValueError:
                pass

    assert _allocated(attempts) < 6 * 500


def test_a_small_message_takes_little_heap():
    # Bytes on a 64-bit machine, about half of it on a board: the buffer, the result and a few
    # words beside them. It is a bound against mistakes; bench/ measures.
    message = [1, 5, ["sys", "ping"], None, b"123456"]
    data = packb(message)
    assert _allocated(lambda: packb(message)) <= 512
    assert _allocated(lambda: unpackb(data)) <= 704
