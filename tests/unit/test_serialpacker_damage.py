"""SerialPacker's frames on a line that damages them: what is lost, and what it costs."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moat.micro.proto import _serialpacker
from moat.micro.proto._serialpacker import Decoder, Format
from tests.unit.frames import (
    any_bytes,
    cut,
    decode,
    fit,
    frames,
    make,
    options,
    payloads,
    their_decode,
)

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

    if form.crc16:
        monkeypatch.setattr(form, "crc16", counting(form.crc16))
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
