"""The core that cuts a byte stream into SerialPacker's frames and console text.

The package `serialpacker`, whose format it is, is the oracle.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serialpacker import CRC16

from moat.micro.errors import MessageTooLongError
from moat.micro.proto import _serialpacker
from moat.micro.proto._crc16 import crc16
from moat.micro.proto._serialpacker import Format
from tests.unit.frames import (
    START,
    any_bytes,
    chunkings,
    decode,
    fit,
    make,
    options,
    payloads,
    their_decode,
    theirs,
)

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
    form, decoder = make({"mark": 0x80})
    assert form.text(b"ab\x80cd") == b"ab\x80\x80cd"
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
