"""The device's msgpack, run on CPython, against the vectors and against PyPI's msgpack."""

from __future__ import annotations

import importlib.util
import json
import math
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgpack as pypi
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

DEVICE = Path(__file__).parents[2] / "firmware" / "device"
VECTORS = Path(__file__).parent / "data" / "msgpack-test-suite.jsonl"
LEVELS = 32


def load() -> ModuleType:
    """Import the device's module beside PyPI's, which has the same name."""
    real = sys.modules["msgpack"]
    try:
        for name in ("msgpack", "_msgpack_more"):
            spec = importlib.util.spec_from_file_location(name, DEVICE / f"{name}.py")
            assert spec
            assert spec.loader
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
        return sys.modules["msgpack"]
    finally:
        sys.modules["msgpack"] = real


ours: Any = load()


class Ext:
    """An extension or a timestamp of neither module."""

    def __init__(self, code: int, *data: Any) -> None:
        self.code, self.data = code, data

    def __repr__(self) -> str:
        return f"Ext{(self.code, *self.data)}"


def build(mod: Any, value: Any) -> Any:
    """`value` with its extensions made by `mod`."""
    if isinstance(value, list):
        return [build(mod, v) for v in value]
    if isinstance(value, dict):
        return {k: build(mod, v) for k, v in value.items()}
    if isinstance(value, Ext):
        return (mod.Timestamp if value.code == -1 else mod.ExtType)(*value.data)
    return value


def pack_all(values: list[Any]) -> bytes:
    """The encodings of `values`, one after the other."""
    return b"".join(ours.packb(build(ours, v)) for v in values)


def plain(value: Any) -> Any:
    """`value` in a form that can be compared: exact in types and bits, and of neither module."""
    if isinstance(value, pypi.ExtType | ours.ExtType):
        return "ext", value.code, value.data
    if isinstance(value, pypi.Timestamp | ours.Timestamp):
        return "timestamp", value.seconds, value.nanoseconds
    if isinstance(value, float):
        return "float", "nan" if math.isnan(value) else struct.pack(">d", value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return "dict", [(plain(k), plain(v)) for k, v in value.items()]
    return type(value).__name__, value


def outcome(fn: Callable[[], Any]) -> Any:
    """What `fn` returns, or how it fails: the kinds of failure on which both modules agree."""
    try:
        return plain(fn())
    except (pypi.ExtraData, ours.ExtraData) as exc:
        return "extra", plain(exc.unpacked), exc.extra
    except ours.StackError:
        return "too deep"
    except (ValueError, TypeError) as exc:  # PyPI: an unhashable key is a TypeError
        return "error" if isinstance(exc, ValueError) or "unhashable" in str(exc) else exc


INTS = st.integers(-(2**63), 2**64 - 1) | st.builds(
    lambda exp, off, sign: max(-(2**63), min(sign * 2**exp + off, 2**64 - 1)),
    st.integers(0, 64), st.integers(-2, 2), st.sampled_from([-1, 1]),
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
BYTES = st.binary(max_size=12)
EXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
BYTES = st.binary(max_size=12)
# Lengths around those where the encoding changes; what is in it does not matter.
SIZES = st.sampled_from([15, 16, 31, 32, 255, 256, 65535, 65536])
LONG = (
    SIZES.map(lambda n: "x" * n)
    | SIZES.map(bytes)
    | SIZES.map(lambda n: [None] * n)
    | SIZES.map(lambda n: dict.fromkeys(map(str, range(n))))
)
EXTS = st.builds(Ext, st.just(1), st.integers(0, 127), BYTES | st.just(bytes(16)))
TIMES = st.builds(
    Ext, st.just(-1), st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**35),
    st.integers(0, 10**9 - 1) | st.just(0),
)  # fmt: skip
LEAVES = st.none() | st.booleans() | INTS | st.floats() | TEXTS | BYTES | EXTS | TIMES
VALUES = st.recursive(
    LEAVES,
    lambda v: st.lists(v, max_size=6) | st.dictionaries(TEXTS | BYTES, v, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An encoding with a few bytes that are wrong."""
    data = bytearray(ours.packb(build(ours, draw(VALUES))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(st.integers(0, 255))
    return bytes(data)


# Type bytes with short lengths, so that not all of it ends at once.
TOKENS = st.sampled_from([bytes([c]) for c in (*range(0x80, 0xE0), 0xFF)]) | st.sampled_from(
    [b"\0", b"\0\1", b"\0\0\0\1", b"\3", b"a", b"\xa1a", b"\xff"]
)
NOISE = BYTES | st.lists(TOKENS, max_size=30).map(b"".join) | damaged()


def cases() -> list[Any]:
    """The vectors as (value, its encodings)."""
    found = []
    for number, line in enumerate(VECTORS.read_text(encoding="utf-8").splitlines()[1:]):
        case = json.loads(line)
        group, hexes = case.pop("group"), case.pop("msgpack")
        value = convert(case)
        encodings = [bytes.fromhex(h.replace("-", "")) for h in hexes]
        found.append(pytest.param(value, encodings, id=f"{group}-{number}"))
    return found


def convert(case: dict[str, Any]) -> Any:
    """The value of a vector."""
    if "bignum" in case:
        return int(case["bignum"])
    [(kind, value)] = case.items()
    if kind == "binary":
        return bytes.fromhex(value.replace("-", ""))
    if kind == "timestamp":
        return Ext(-1, *value)
    if kind == "ext":
        return Ext(1, value[0], bytes.fromhex(value[1].replace("-", "")))
    return value


@pytest.mark.parametrize(("value", "encodings"), cases())
def test_vector(value: Any, encodings: list[bytes]) -> None:
    value = build(ours, value)
    assert ours.packb(value) in encodings
    for data in encodings:
        assert ours.unpackb(data) == value


def test_there_are_vectors() -> None:
    assert len(cases()) == 85


@given(VALUES)
def test_packs_as_pypi_does(value: Any) -> None:
    assert ours.packb(build(ours, value)) == pypi.packb(build(pypi, value))


# Around the lengths where the encoding changes.
@pytest.mark.parametrize("n", [15, 16, 31, 32, 255, 256, 65535, 65536])
def test_lengths(n: int) -> None:
    ext = Ext(1, 1, bytes(n))
    for value in ("x" * n, "é" * (n // 2) + "x" * (n % 2), bytes(n), [7] * n, ext):
        data = pypi.packb(build(pypi, value))
        assert ours.packb(build(ours, value)) == data
        assert plain(ours.unpackb(data)) == plain(pypi.unpackb(data))
        assert outcome(lambda data=data: ours.unpackb(data[:-1])) == "error"
    pairs = dict.fromkeys(map(str, range(n)))
    assert ours.unpackb(ours.packb(pairs)) == pairs == pypi.unpackb(ours.packb(pairs))


@given(VALUES)
def test_round_trip(value: Any) -> None:
    data = ours.packb(build(ours, value))
    assert plain(ours.unpackb(data)) == plain(build(ours, value))
    assert plain(ours.unpackb(bytearray(data))) == plain(ours.unpackb(memoryview(data)))
    assert plain(ours.unpackb(memoryview(data))) == plain(pypi.unpackb(data))


@given(st.floats(width=32))
def test_single_floats(value: float) -> None:
    data = ours.packb(value, use_single_float=True)
    assert data == pypi.packb(value, use_single_float=True)
    assert plain(ours.unpackb(data)) == plain(value)


@given(VALUES)
def test_every_prefix_is_incomplete(value: Any) -> None:
    data = ours.packb(build(ours, value))
    for n in range(len(data)):
        with pytest.raises(ValueError, match="incomplete"):
            ours.unpackb(data[:n])
        unpacker = ours.Unpacker()
        unpacker.feed(data[:n])
        with pytest.raises(ours.OutOfData):
            unpacker.unpack()


@given(NOISE, st.booleans(), st.booleans())
@example(b"\xdc\xff\xff\xc1", False, True)
@example(b"\xc7\x0c\xff" + b"\xff" * 12, False, True)
def test_noise_gives_what_pypi_gives(data: bytes, raw: bool, strict: bool) -> None:
    got = outcome(lambda: ours.unpackb(data, raw=raw, strict_map_key=strict))
    if got != "too deep":
        assert got == outcome(lambda: pypi.unpackb(data, raw=raw, strict_map_key=strict))


@given(NOISE)
def test_noise_in_a_view_gives_the_same(data: bytes) -> None:
    view = memoryview(b"\x91" + data + b"\x01")[1:-1]
    assert outcome(lambda: ours.unpackb(view)) == outcome(lambda: ours.unpackb(data))


@pytest.mark.parametrize("unit", [b"\x91", b"\x81\xa0", b"\xdc\0\1", b"\xdf\0\0\0\1\0"])
def test_nesting_is_limited(unit: bytes) -> None:
    options = {"strict_map_key": False}
    assert ours.unpackb(unit * LEVELS + b"\xc0", **options) == pypi.unpackb(
        unit * LEVELS + b"\xc0", **options
    )
    for levels in (LEVELS + 1, 100000):
        with pytest.raises(ours.StackError):
            ours.unpackb(unit * levels + b"\xc0", **options)


def test_nesting_is_limited_when_packing() -> None:
    value: Any = None
    for _ in range(LEVELS):
        value = [value]
    assert ours.packb(value) == pypi.packb(value)
    assert ours.packb({"a": value[0]}) == pypi.packb({"a": value[0]})
    for deep in ([value], {"a": value}, [1, [value[0], 2], value]):
        with pytest.raises(ValueError, match="too deep"):
            ours.packb(deep)
    value.append(value)
    with pytest.raises(ValueError, match="too deep"):
        ours.packb(value)


def objects(unpacker: Any) -> list[tuple[Any, int]]:
    """What can be unpacked now, or why it cannot, each with the position behind it."""
    found: list[tuple[Any, int]] = []
    while True:
        before = unpacker.tell()
        got = outcome(unpacker.unpack)
        if unpacker.tell() == before:  # not complete, or no way to go on
            return found
        found.append((got, unpacker.tell()))


@given(st.lists(VALUES, max_size=4).map(pack_all) | NOISE, st.data())
def test_any_chunking_gives_the_same_objects(stream: bytes, data: st.DataObject) -> None:
    whole, pieces = ours.Unpacker(), ours.Unpacker()
    whole.feed(stream)
    expected, got, at = objects(whole), [], 0
    while at < len(stream):
        n = data.draw(st.integers(1, len(stream) - at))
        pieces.feed(stream[at : at + n])
        got += objects(pieces)
        at += n
    assert got == expected
    start = 0
    for obj, end in expected:
        assert obj == outcome(lambda span=stream[start:end]: ours.unpackb(span))
        start = end


@given(st.lists(VALUES, max_size=4))
def test_unpacker_gives_what_was_packed(values: list[Any]) -> None:
    unpacker = ours.Unpacker()
    unpacker.feed(pack_all(values))
    assert plain(list(unpacker)) == plain([build(ours, v) for v in values])


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_skip_finds_where_an_object_ends(values: list[Any]) -> None:
    packed = [ours.packb(build(ours, v)) for v in values]
    unpacker = ours.Unpacker()
    unpacker.feed(b"".join(packed))
    total = 0
    for data in packed:
        unpacker.skip()
        total += len(data)
        assert unpacker.tell() == total
    with pytest.raises(ours.OutOfData):
        unpacker.skip()


def test_names_are_pypis() -> None:
    more = sys.modules["_msgpack_more"]
    names = {n for m in (ours, more) for n in vars(m) if not n.startswith("_")}
    assert names - {"msgpack", "namedtuple", "pack_into"} <= set(dir(pypi))
