"""The core that cuts a byte stream into SerialPacker's frames and console text.

The package `serialpacker`, whose format it is, is the oracle.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from serialpacker import CRC16, SerialPacker

from moat.micro.errors import MessageTooLongError
from moat.micro.proto import _serialpacker
from moat.micro.proto._crc import crc16
from moat.micro.proto._serialpacker import Decoder, Format, MarkDecoder

START = b"\xfa"
NEVER_IDLE = 10**9

options = st.fixed_dictionaries(
    {},
    optional={
        "frame_start": st.sampled_from([0xFA, 0x02, 0x80, None]),
        "max_packet": st.sampled_from([10, 127, 128, 255, 256, 300, 32767]),
        "mark": st.sampled_from([None, 0x80, 0x1B, 0x00]),
    },
).filter(lambda opt: opt.get("mark") is None or opt["mark"] != opt.get("frame_start"))
chunkings = st.lists(st.integers(1, 40), min_size=1, max_size=5)
# Short ones, and those whose length has two bytes; some full of bytes that mean something.
payloads = (
    st.binary(min_size=1, max_size=40)
    | st.integers(100, 300).flatmap(lambda n: st.binary(min_size=n, max_size=n))
    | st.lists(st.sampled_from(b"\xfa\x80\x05\x7f\x00"), min_size=1, max_size=300).map(bytes)
)
any_bytes = st.binary(max_size=300) | st.lists(
    st.sampled_from([START, b"\x03", b"\x05", b"\x7f", b"\x80", b"\xfa\x02ab", b"text", b"\0\0"]),
    max_size=60,
).map(b"".join)


def make(opt: dict[str, Any], **kw: Any) -> tuple[Format, Decoder]:
    """What speaks with these options."""
    form = Format(**{"crc": 16, **opt, **kw})
    return form, (MarkDecoder if form.mark else Decoder)(form, 100_000)


def theirs(opt: dict[str, Any], data: bytes) -> bytes:
    """A frame, as the package makes it."""
    return b"".join(SerialPacker(**opt).frame(data))


def their_decode(opt: dict[str, Any], data: bytes) -> tuple[list[bytes], bytes, SerialPacker]:
    """The frames and the console text that the package finds, and itself."""
    packer = SerialPacker(max_idle=NEVER_IDLE, **opt)
    frames, text = [], bytearray()
    for byte in data:
        res = packer.feed(byte)
        if isinstance(res, int):
            text.append(res)
        elif res is not None:
            frames.append(bytes(res))
    return frames, bytes(text), packer


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut `data` into chunks of `sizes`, again and again."""
    at = 0
    while at < len(data):
        for size in sizes:
            yield data[at : at + size]
            at += size


def frames(decoder: Decoder) -> list[bytes]:
    """The frames that are ready."""
    return list(map(bytes, iter(decoder.next, None)))


def decode(decoder: Decoder, data: bytes, sizes: list[int], *, end: bool = False) -> list[bytes]:
    """Feed `data` in chunks, then a silence if there is an `end`."""
    found = []
    for chunk in cut(data, sizes):
        decoder.feed(chunk)
        found += frames(decoder)
    if end:
        decoder.expire()
        found += frames(decoder)
    return found


def fit(opt: dict[str, Any], blocks: Iterable[bytes]) -> list[bytes]:
    """The payloads, not longer than allowed."""
    return [data[: opt.get("max_packet", 127)] for data in blocks]


# ---- frames


@given(options, st.sampled_from([16, 32]), st.lists(payloads, max_size=4), chunkings)
def test_round_trip(opt: dict[str, Any], crc: int, blocks: list[bytes], sizes: list[int]) -> None:
    form, decoder = make(opt, crc=crc)
    blocks = fit(opt, blocks)
    assert decode(decoder, b"".join(map(form.encode, blocks)), sizes) == blocks
    assert (decoder.errors, decoder.text, decoder.unsettled()) == (0, b"", False)


@pytest.mark.parametrize("max_packet", [1, 127, 128, 255, 256, 1000, 32767])
def test_every_length_at_the_edge_of_an_encoding(max_packet: int) -> None:
    for size in {1, 127, 128, 255, 256, max_packet}:
        if size <= max_packet:
            opt = {"max_packet": max_packet}
            form, decoder = make(opt)
            frame = form.encode(bytes(size - 1) + b"x")
            assert frame == theirs(opt, bytes(size - 1) + b"x")
            assert decode(decoder, bytes(frame), [7]) == [bytes(size - 1) + b"x"]


@given(options, payloads)
def test_the_package_makes_the_same_frames(opt: dict[str, Any], data: bytes) -> None:
    (data,) = fit(opt, [data])
    form, _ = make(opt)
    assert form.encode(data) == theirs(opt, data)
    assert form.encode(memoryview(data)) == theirs(opt, data)


parts = st.lists(st.tuples(st.text(max_size=20), payloads), max_size=4)


def stream(opt: dict[str, Any], pieces: list[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """Text and frames as a careful sender writes them; what arrives as text."""
    form, _ = make(opt)
    # With a mark and a start, everything can be text; else not the byte that begins a frame.
    taken = b"" if form.mark and form.start else form.mark or form.start
    data, text = b"", b""
    for piece, payload in pieces:
        fine = "".join(c for c in piece if form.console and (not taken or taken not in c.encode()))
        text += fine.encode()
        data += bytes(form.text(fine.encode())) + form.encode(fit(opt, [payload])[0])
    return data, text


@given(options, parts, chunkings)
def test_the_package_reads_the_same(
    opt: dict[str, Any], pieces: list[tuple[str, bytes]], sizes: list[int]
) -> None:
    data, text = stream(opt, pieces)
    _, decoder = make(opt)
    found = decode(decoder, data, sizes)
    assert found == fit(opt, [payload for _, payload in pieces])
    assert decoder.text == text
    assert decoder.errors == 0
    assert their_decode(opt, data)[:2] == (found, text)


def test_a_frame_behind_a_broken_character_is_not_lost() -> None:
    form, decoder = make({})
    data = b"na\xef" + form.encode(b"latin")
    assert their_decode({}, data)[0] == []
    assert decode(decoder, data, [3]) == [b"latin"]
    assert decoder.text == b"na\xef"


@given(st.binary(max_size=300))
def test_crc_is_that_of_the_package(data: bytes) -> None:
    crc = CRC16()
    for byte in data:
        crc.feed(byte)
    assert crc16(data) == crc16(memoryview(data)) == crc.crc


@given(payloads, st.lists(st.binary(max_size=5).map(lambda b: b.replace(b"\x80", b"?"))))
def test_text_in_the_middle_of_a_marked_frame(data: bytes, texts: list[bytes]) -> None:
    opt = {"mark": 0x80}
    form, decoder = make(opt)
    frame = form.encode(data[:127])
    pieces = [frame[i : i + 2] for i in range(0, len(frame), 2)]
    texts = texts[: len(pieces)]
    for i, text in enumerate(texts):
        pieces[i] += text
    found = decode(decoder, b"".join(pieces), [3])
    assert found == [data[:127]]
    assert decoder.text == b"".join(texts)
    assert their_decode(opt, b"".join(pieces))[:2] == (found, decoder.text)


def test_marked_text_keeps_its_place() -> None:
    _, decoder = make({"mark": 0x80})
    assert decode(decoder, b"ab\x80\x80cd\x80xe", [100]) == []
    assert decoder.text == b"ab\x80cdxe"


def test_an_empty_frame_needs_the_crc_32() -> None:
    form, decoder = make({}, crc=32)
    assert decode(decoder, bytes(form.encode(b"")), [1]) == [b""]
    form, decoder = make({})
    with pytest.raises(ValueError, match="empty"):
        form.encode(b"")
    empty = theirs({}, b"")
    assert decode(decoder, empty, [1]) == []
    assert their_decode({}, empty)[0] == []
    assert (decoder.errors, decoder.text) == (1, b"\0\0\0")


def test_too_long_is_an_error() -> None:
    form, _ = make({"max_packet": 10})
    with pytest.raises(MessageTooLongError, match=r"11 bytes, at most 10"):
        form.encode(bytes(11))


@pytest.mark.parametrize(
    "opt", [{"max_packet": 0}, {"max_packet": 32768}, {"crc": 8}, {"frame_start": 256}]
)
def test_what_cannot_be_is_an_error(opt: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- the last one is bytes()'s own
        Format(**opt)


# ---- chunks


@given(options, any_bytes, chunkings, st.booleans())
def test_any_chunking_gives_the_same(
    opt: dict[str, Any], data: bytes, sizes: list[int], end: bool
) -> None:
    results = []
    for chunks in (sizes, [1000], [1]):
        form, decoder = make(opt)
        good = bytes(form.encode(b"good"))
        found = decode(decoder, data + good + data, chunks, end=end)
        results.append((found, bytes(decoder.text), decoder.errors, decoder.unsettled()))
    assert results[0] == results[1] == results[2]


def test_any_chunking_gives_the_same_when_too_much_was_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_serialpacker, "_VAIN", 2)
    monkeypatch.setattr(_serialpacker, "_CREDIT", 1)
    data = b"\xfa\x09" * 30 + b"x" * 9 + b"\xfa\x05\xfa\x09abcde" * 9
    good = bytes(Format(max_packet=9, crc=16).encode(b"good"))
    results = []
    for size in (1, 2, 3, 7, 1000):
        _, decoder = make({"max_packet": 9})
        found = decode(decoder, data + good * 2, [size], end=True)
        results.append((found, bytes(decoder.text), decoder.errors))
    assert results.count(results[0]) == 5
    # All starts fail if they are looked at.
    assert 10 < results[0][2] < data.count(START)


# ---- damage

Damage = Callable[[bytes, int, int], bytes]


def flip(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes((data[at] ^ value,)) + data[at + 1 :]


def drop(data: bytes, at: int, _value: int) -> bytes:
    return data[:at] + data[at + 1 :]


def insert(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes((value,)) + data[at:]


@given(
    options,
    st.lists(payloads, min_size=3, max_size=6),
    st.sampled_from([flip, drop, insert]),
    st.integers(0, 10**6),
    st.integers(1, 255),
)
@example({}, [b"123"] + [b"abc"] * 5, flip, 1, 20)
@example({"max_packet": 127}, [b"\xfa\x7f" * 63] * 4, flip, 1, 1)
@example({"max_packet": 255, "frame_start": None}, [b"\xff" * 255] * 4, flip, 0, 1)
def test_damage_costs_no_frames_but_those_it_touches(
    opt: dict[str, Any], blocks: list[bytes], damage: Damage, at: int, value: int
) -> None:
    form, decoder = make(opt, crc=32)
    blocks = fit(opt, blocks)
    encoded = [bytes(form.encode(data)) for data in blocks]
    data = b"".join(encoded)
    at %= len(data)
    hit = next(i for i in range(len(blocks)) if at < sum(map(len, encoded[: i + 1])))
    found = decode(decoder, damage(data, at, value), [100], end=True)
    # What is not marked cannot hide the mark that follows it; what is, can.
    after = blocks[hit + 1 :]
    if form.mark and found[hit:] != blocks[hit:] and found[hit:] != after:
        after = after[1:]
    assert found in (blocks, blocks[:hit] + after)
    assert not decoder.unsettled()


def test_a_damaged_length_does_not_lose_the_following_frames() -> None:
    names = [b"one", b"two", b"six", b"ten", b"red", b"sky"]
    form, decoder = make({})
    data = bytearray(b"".join(map(form.encode, names)))
    data[1] = 20
    lost_by_them = [name for name in names if name not in their_decode({}, bytes(data))[0]]
    assert lost_by_them == names[:4]  # the damaged one, and three more
    assert decode(decoder, bytes(data), [1]) == names[1:]
    assert decoder.errors == 1


def test_a_wrong_checksum_is_counted() -> None:
    form, decoder = make({}, crc=32)
    frame = form.encode(b"data")
    frame[-1] ^= 1
    assert decode(decoder, bytes(frame), [100]) == []
    assert decoder.errors == 1
    assert decoder.text == frame[1:]


@pytest.mark.parametrize("at", [0, 1])
def test_the_crc_32_covers_the_header(at: int) -> None:
    form, decoder = make({"frame_start": None}, crc=32)
    frame = form.encode(bytes(20))
    frame[0] -= at  # the data are all the same
    assert decode(decoder, bytes(frame), [100], end=True) == [bytes(20)][at:]


@given(options, any_bytes, payloads, st.sampled_from([16, 32]))
def test_after_a_silence_a_frame_is_received(
    opt: dict[str, Any], garbage: bytes, data: bytes, crc: int
) -> None:
    form, decoder = make(opt, crc=crc)
    (data,) = fit(opt, [data])
    decode(decoder, garbage, [50])
    if decoder.unsettled():
        decoder.expire()
        assert all(frame in garbage for frame in frames(decoder))
    assert not decoder.unsettled()
    assert decode(decoder, bytes(form.encode(data)), [50]) == [data]


def test_a_frame_that_stops_is_looked_through() -> None:
    form, decoder = make({})
    good = bytes(form.encode(b"good"))
    assert decode(decoder, b"\xfa\x50half of \xfa\x7f" + good + b"more", [10]) == []
    assert decoder.unsettled()
    decoder.expire()
    assert frames(decoder) == [b"good"]
    assert (decoder.text, decoder.errors) == (b"\x50half of \x7fmore", 2)
    assert not decoder.unsettled()


def test_a_reset_drops_a_half_frame_and_keeps_the_text() -> None:
    for opt in ({}, {"mark": 0x80}):
        form, decoder = make(opt)
        good = bytes(form.encode(b"good"))
        assert decode(decoder, b"text" + good[:-1], [100]) == []
        decoder.reset()
        assert not decoder.unsettled()
        assert decode(decoder, good, [100]) == [b"good"]
        assert (decoder.text, decoder.errors) == (b"text", 0)


# ---- bounds


def test_text_is_bounded_and_the_oldest_goes() -> None:
    decoder = Decoder(Format(), console=10)
    assert decode(decoder, b"0123456789abcdef", [5]) == []
    assert (decoder.text, decoder.dropped) == (b"6789abcdef", 6)


@pytest.mark.parametrize("garbage", [b"\xfa\x7f", b"\x7f", b"\xfa", b"\xfa\xff\x07", b"\xff\x07"])
@pytest.mark.parametrize("opt", [{}, {"max_packet": 1000}, {"frame_start": None}])
@pytest.mark.parametrize("crc", [16, 32])
def test_work_and_memory_are_bounded(
    garbage: bytes, opt: dict[str, Any], crc: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, decoder = make(opt, crc=crc)
    checked = 0

    def counting(real: Callable[[bytes], int]) -> Callable[[bytes], int]:
        def count(data: bytes) -> int:
            nonlocal checked
            checked += len(data)
            return real(data)

        return count

    monkeypatch.setattr(_serialpacker, "crc16", counting(_serialpacker.crc16))
    monkeypatch.setattr(_serialpacker, "crc32", counting(_serialpacker.crc32))
    data = garbage * (200_000 // len(garbage))
    found = []
    for chunk in cut(data, [100]):
        decoder.feed(chunk)
        found += frames(decoder)
        assert len(decoder._buf) <= form.longest + 100
    assert found == []
    allowed = (_serialpacker._VAIN + 1) * form.longest + _serialpacker._CREDIT * len(data)
    assert checked <= allowed
    if garbage == b"\xfa\x7f" and not opt:
        assert checked > allowed // 2  # it is the limit that stops it
