"""msgpack's Packer, Unpacker and stream functions: PyPI's here, the project's on MicroPython."""

import io

from _helpers import raises
from msgpack import (
    BufferFull,
    ExtType,
    FormatError,
    OutOfData,
    Packer,
    Unpacker,
    UnpackException,
    dumps,
    load,
    loads,
    pack,
    packb,
    unpack,
)

VALUES = [1, "abc", [1, [2, {"a": b"\1\2\3"}], []], None, {"k": -500}, 1 << 40, ExtType(1, b"123")]


def test_streams():
    f = io.BytesIO()
    pack([1, "a"], f)
    assert f.getvalue() == b"\x92\1\xa1a" == dumps([1, "a"])
    f.seek(0)
    assert unpack(f) == [1, "a"]
    f.seek(0)
    assert load(f, raw=True) == [1, b"a"]
    assert loads(b"\1") == 1


def test_unpacker_takes_any_chunks():
    stream = b"".join([packb(v) for v in VALUES])
    for size in (1, 2, 3, 7, 100):
        unpacker = Unpacker(max_buffer_size=100)
        got = []
        for i in range(0, len(stream), size):
            unpacker.feed(memoryview(stream)[i : i + size])
            got.extend(list(unpacker))
        assert got == VALUES
        assert unpacker.tell() == len(stream)


def test_unpacker_reads_a_file():
    stream = b"".join([packb(v) for v in VALUES])
    unpacker = Unpacker(io.BytesIO(stream), read_size=3)
    assert list(unpacker) == VALUES
    unpacker = Unpacker(io.BytesIO(stream + b"\xa5ab"))
    for v in VALUES:
        assert unpacker.unpack() == v
    with raises(OutOfData):
        unpacker.unpack()


def test_unpacker_has_the_options_of_unpackb():
    unpacker = Unpacker(raw=True, strict_map_key=False, ext_hook=lambda c, d: c, object_hook=list)
    unpacker.feed(b"\x93\xa1a\xd4\5x\x81\1\2")
    assert unpacker.unpack() == [b"a", 5, [1]]


def test_unpacker_out_of_data():
    unpacker = Unpacker()
    unpacker.feed(b"\1\x92\2")
    assert unpacker.unpack() == 1
    for _ in range(2):
        with raises(OutOfData) as r:
            unpacker.unpack()
        assert isinstance(r.exc, UnpackException)
    unpacker.feed(b"\3\4")
    assert unpacker.unpack() == [2, 3]
    assert list(unpacker) == [4]
    assert list(unpacker) == []


def test_skip_and_tell():
    unpacker = Unpacker()
    stream = b"".join([packb(v) for v in VALUES])
    unpacker.feed(stream[:-1])
    at = 0
    for v in VALUES[:-1]:
        unpacker.skip()
        at += len(packb(v))
        assert unpacker.tell() == at
    with raises(OutOfData):
        unpacker.skip()
    unpacker.feed(stream[-1:] + b"\5")
    unpacker.skip()
    assert unpacker.tell() == len(stream)
    assert unpacker.unpack() == 5


def test_buffer_full():
    unpacker = Unpacker(max_buffer_size=10)
    unpacker.feed(b"\xc4\x08abc")
    with raises(BufferFull):
        unpacker.feed(b"defghi")
    unpacker.feed(b"defgh")
    assert unpacker.unpack() == b"abcdefgh"
    unpacker.feed(b"\xc4\x08abcdefgh")
    assert unpacker.unpack() == b"abcdefgh"
    for head in (b"\xc4\x0b", b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"):
        unpacker = Unpacker(max_buffer_size=10)
        unpacker.feed(head)
        with raises(ValueError, OutOfData):  # PyPI's waits for what does not fit
            unpacker.unpack()


def test_unpacker_refuses_what_is_not_messagepack():
    unpacker = Unpacker()
    unpacker.feed(b"\1\x92\1\xc1")
    assert unpacker.unpack() == 1
    with raises(FormatError):
        unpacker.unpack()


def test_headers():
    unpacker = Unpacker()
    unpacker.feed(b"\x93\1\2\xa1a\x82\xa1b\1\xa1c\2\xdc\0\1\xc0\xde\0\0raw")
    assert unpacker.read_array_header() == 3
    assert [unpacker.unpack() for _ in range(3)] == [1, 2, "a"]
    with raises(ValueError):
        unpacker.read_array_header()
    assert unpacker.read_map_header() == 2
    assert [unpacker.unpack() for _ in range(4)] == ["b", 1, "c", 2]
    with raises(ValueError):
        unpacker.read_map_header()
    assert unpacker.read_array_header() == 1
    assert unpacker.unpack() is None
    assert unpacker.read_map_header() == 0
    assert unpacker.read_bytes(2) == b"ra"
    assert unpacker.read_bytes(5) == b"w"
    with raises(OutOfData):
        unpacker.read_map_header()


def test_packer():
    packer = Packer(use_single_float=True, default=list)
    assert packer.pack([1.5, {1}]) == b"\x92\xca\x3f\xc0\0\0\x91\1"
    assert packer.pack("a") == b"\xa1a"
    for n, array, dct in (
        (0, b"\x90", b"\x80"), (15, b"\x9f", b"\x8f"), (16, b"\xdc\0\x10", b"\xde\0\x10"),
        (255, b"\xdc\0\xff", b"\xde\0\xff"), (65536, b"\xdd\0\1\0\0", b"\xdf\0\1\0\0"),
    ):  # fmt: skip
        assert packer.pack_array_header(n) == array
        assert packer.pack_map_header(n) == dct
    assert packer.pack_ext_type(5, b"ab") == b"\xd5\5ab"
    with raises(TypeError):
        packer.pack(object())
    assert packer.pack(1) == b"\1"


def test_packer_without_autoreset():
    packer = Packer(autoreset=False)
    assert packer.pack_array_header(2) is None
    assert packer.pack(1) is None
    packer.pack("a")
    assert packer.bytes() == b"\x92\1\xa1a" == bytes(packer.getbuffer())
    packer.reset()
    assert packer.bytes() == b""
    packer.pack(2)
    assert packer.bytes() == b"\2"
