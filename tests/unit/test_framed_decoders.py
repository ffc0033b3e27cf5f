"""What the cores of all codecs have in common: Ctrl-C, and looking ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgpack import packb

from moat.micro.proto import _msgpack
from moat.micro.proto._framed import BaseDecoder
from moat.micro.proto._serialpacker import Decoder, Format
from moat.micro.proto._serialpacker_mark import MarkDecoder
from tests.unit.frames import decode, frames

Decoding = tuple[Callable[[], Any], Callable[[bytes], bytes]]


def packer(**options: Any) -> Decoding:
    form = Format(**options)
    kind = MarkDecoder if form.mark else Decoder
    return lambda: kind(form), lambda data: bytes(form.encode(data))


def pack(data: bytes) -> bytes:
    return bytes([_msgpack.PREFIX]) + packb(data)


# How to make a decoder, and a frame for it. The text below is text for all of them.
CODECS: dict[str, Decoding] = {
    "msgpack": (lambda: _msgpack.Decoder(4096), pack),
    "packer": packer(),
    "crc-16": packer(crc=16, max_packet=1000),
    "mark": packer(mark=0x80),
    "mark only": packer(mark=0x80, frame_start=None, crc=16),
}
codecs = pytest.mark.parametrize("codec", CODECS)
packers = pytest.mark.parametrize("codec", [name for name in CODECS if name != "msgpack"])
chunkings = st.lists(st.integers(1, 30), min_size=1, max_size=5)
data = st.binary(max_size=100).map(lambda data: data + b"\3")
text = st.binary(max_size=20).map(lambda data: bytes(byte & 0x3F for byte in data))
keys = st.sampled_from([b"\r\3", b"\3\3", b"\n\r\3", b"\r\n\3\3"])
harmless = text.map(lambda text: text.replace(b"\3", b"?"))
any_bytes = st.lists(
    st.sampled_from([b"\xc1", b"\xfa", b"\x80", b"\3", b"\xc4\5", b"\x80\xfa\x80\5", b"text"])
    | st.binary(max_size=9),
    max_size=30,
).map(b"".join)


def state(decoder: BaseDecoder) -> dict[str, Any]:
    """All that a decoder knows, as it is now."""
    return {k: bytes(v) if isinstance(v, bytearray) else v for k, v in vars(decoder).items()}


@codecs
@given(st.lists(st.tuples(harmless, data), max_size=4), harmless, chunkings)
def test_ctrl_c_inside_of_frames_is_data(
    codec: str, parts: list[tuple[bytes, bytes]], tail: bytes, sizes: list[int]
) -> None:
    make, frame = CODECS[codec]
    decoder = make()
    line = b"".join(text + frame(data) for text, data in parts) + tail
    assert len(decode(decoder, line, sizes)) == len(parts)
    assert not decoder.ctrl_c
    assert decoder.text == b"".join(text for text, _ in parts) + tail


@codecs
@given(st.lists(data, max_size=2), keys, text, chunkings)
def test_ctrl_c_outside_of_frames_is_noticed(
    codec: str, blocks: list[bytes], typed: bytes, after: bytes, sizes: list[int]
) -> None:
    make, frame = CODECS[codec]
    decoder = make()
    decode(decoder, b"".join(map(frame, blocks)) + typed + after, sizes)
    assert decoder.ctrl_c


@given(text, text, chunkings)
def test_where_nothing_is_damaged_any_ctrl_c_outside_counts(
    before: bytes, after: bytes, sizes: list[int]
) -> None:
    decoder = CODECS["msgpack"][0]()
    decode(decoder, before + b"\3" + after, sizes)
    assert decoder.ctrl_c


@packers
@given(st.lists(data, max_size=2), chunkings)
def test_a_single_ctrl_c_waits_for_a_silence(
    codec: str, blocks: list[bytes], sizes: list[int]
) -> None:
    make, frame = CODECS[codec]
    decoder = make()
    decode(decoder, b"".join(map(frame, blocks)) + b"\3", sizes)
    assert not decoder.ctrl_c
    assert decoder.unsettled()
    decoder.expire()
    assert decoder.next() is None
    assert decoder.ctrl_c
    assert not decoder.unsettled()


@packers
@given(
    harmless.filter(lambda text: text.strip(b"\r\n")), st.sampled_from([b"\3", b"\r\3"]), chunkings
)
def test_behind_other_text_ctrl_c_waits_for_a_silence(
    codec: str, before: bytes, typed: bytes, sizes: list[int]
) -> None:
    decoder = CODECS[codec][0]()
    decode(decoder, before + typed, sizes)
    decoder.expire()
    assert decoder.next() is None
    assert not decoder.ctrl_c
    decode(decoder, typed, sizes, end=True)
    assert decoder.ctrl_c


@pytest.mark.parametrize("codec", ["packer", "crc-16"])
@given(data, st.integers(0, 255), chunkings)
def test_a_frame_whose_start_is_damaged_holds_no_ctrl_c(
    codec: str, content: bytes, start: int, sizes: list[int]
) -> None:
    make, frame = CODECS[codec]
    decoder = make()
    whole = frame(content.replace(b"\xfa", b"?"))
    typed = b"\r\n\3"
    assume(start not in typed or whole[1] not in typed)  # that is what typing looks like
    decode(decoder, bytes([start]) + whole[1:], sizes, end=True)
    assert not decoder.ctrl_c


@codecs
@given(data, st.data(), chunkings)
def test_the_rest_of_a_frame_that_stops_holds_no_ctrl_c(
    codec: str, content: bytes, draw: st.DataObject, sizes: list[int]
) -> None:
    make, frame = CODECS[codec]
    decoder = make()
    whole = frame(content)
    assert decode(decoder, whole[: draw.draw(st.integers(1, len(whole) - 1))], sizes) == []
    assert decoder.unsettled()
    decoder.expire()
    frames(decoder)  # some of the data may be a good one
    assert not decoder.ctrl_c
    assert not decoder.unsettled()
    decode(decoder, b"\r\3", [1])
    assert decoder.ctrl_c


@pytest.mark.parametrize("codec", ["packer", "crc-16"])
@given(data, st.integers(0, 7), text, chunkings)
def test_behind_a_damaged_frame_ctrl_c_waits_for_a_silence(
    codec: str, content: bytes, bit: int, more: bytes, sizes: list[int]
) -> None:
    make, frame = CODECS[codec]
    decoder = make()
    damaged = bytearray(frame(content.replace(b"\xfa", b"?")))
    damaged[-3] ^= 1 << bit  # the start and the length are right
    decode(decoder, bytes(damaged) + more + b"\r\3", sizes)
    if decoder.errors and not decoder.inside:
        assert not decoder.ctrl_c
        assert decoder.unsettled()
    decoder.expire()
    assert frames(decoder) == []
    assert not decoder.ctrl_c
    decode(decoder, b"\r\3", [1])
    assert decoder.ctrl_c


def test_between_the_bytes_of_a_marked_frame_ctrl_c_counts() -> None:
    make, frame = CODECS["mark"]
    decoder = make()
    whole = frame(b"\3\3")
    assert decode(decoder, whole[:6], [1]) == []
    assert not decoder.ctrl_c
    assert decode(decoder, b"\r\3" + whole[6:], [1]) == [b"\3\3"]
    assert decoder.ctrl_c


# ---- looking ahead


@codecs
@given(any_bytes, any_bytes, chunkings, st.booleans())
def test_a_fork_goes_on_where_its_original_is(
    codec: str, first: bytes, second: bytes, sizes: list[int], end: bool
) -> None:
    decoder = CODECS[codec][0]()
    decode(decoder, first, sizes)
    fork = decoder.fork()
    before = state(decoder)
    found = decode(fork, second, sizes, end=end)
    after = state(fork)
    assert state(decoder) == before
    assert decode(decoder, second, sizes, end=end) == found
    assert state(decoder) == after


@codecs
def test_a_fork_has_what_is_not_dealt_with_yet(codec: str) -> None:
    make, frame = CODECS[codec]
    decoder = make()
    decoder.feed(frame(b"one") + b"\r\3" + frame(b"two"))
    first = decoder.next()
    assert not decoder.ctrl_c
    fork = decoder.fork()
    assert next(iter(frames(fork))) != first
    assert fork.ctrl_c
    assert not decoder.ctrl_c
