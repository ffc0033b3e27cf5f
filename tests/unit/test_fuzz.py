"""Fuzzing of every decoder: random and damaged input.

A decoder is added by a few lines at the end of its kind: an adapter, and an entry in DECODERS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb, unpackb

from moat.micro.cmd import _span
from moat.micro.cmd._request import Requests
from moat.micro.cmd._wire import (
    AT,
    CALL,
    CANCEL,
    CREDIT,
    DEADLINE,
    ERROR,
    FED,
    FEED,
    HELLO,
    ITEM,
    KEEP,
    REPLY,
    ROOM,
    TRACE,
    TRACEBACK,
)
from moat.micro.errors import ArgumentError, ProtocolError
from moat.micro.proto import _serialpacker as serialpacker
from moat.micro.proto._msgpack import PREFIX, Decoder
from moat.micro.proto._options import Options
from moat.micro.proto._reliable import OPEN, Reliable
from moat.micro.proto._serialpacker_mark import MarkDecoder
from tests.unit.test_msgpack import ours

LIMIT = 200
CONSOLE = 50


@dataclass(frozen=True)
class Fuzzed:
    """A decoder of a byte stream, and how it is used.

    Args:
        make: returns a new one.
        encode: returns the bytes of a message.
        feed: gives it a chunk and returns the messages that are complete.
        expire: tells it of a silence and returns the messages that it still finds.
        held: returns the bytes that it keeps, at most `most` and the last chunk.
        special: bytes that mean something to it.
        hard: whole inputs that are hard for it.
    """

    make: Callable[[], Any]
    encode: Callable[[bytes], bytes]
    feed: Callable[[Any, bytes], list[bytes]]
    expire: Callable[[Any], list[bytes]]
    held: Callable[[Any], int]
    most: int
    special: list[bytes]
    hard: list[bytes]


def _drain(decoder: Decoder) -> list[bytes]:
    """The good messages that are ready; what is a span but no message is the layer's to skip."""
    found = []
    for span in iter(decoder.next, None):
        try:
            found.append(unpackb(span, strict_map_key=False))
        except (ValueError, TypeError):
            continue
    return found


def _feed(decoder: Decoder, chunk: bytes) -> list[bytes]:
    decoder.feed(chunk)
    return _drain(decoder)


def _expire(decoder: Decoder) -> list[bytes]:
    decoder.expire()
    return _drain(decoder)


def _msgpack(prefix: int | None) -> Fuzzed:
    mark = b"" if prefix is None else bytes((prefix,))
    return Fuzzed(
        make=lambda: Decoder(LIMIT, prefix, CONSOLE),
        encode=lambda data: mark + packb(data),
        feed=_feed,
        expire=_expire,
        held=lambda decoder: len(decoder._buf) + len(decoder.text),
        most=LIMIT + 1 + CONSOLE,
        special=[mark, b"\x03", b"\x93", b"\xda\x00\x20", b"\xc4\x05", b"\xdf\xff", b"\xc7"],
        # Many prefixes, each of which begins an array that ends nowhere, and hides in a string.
        hard=[(b"\xa3" + mark + b"\xdc\x00\x72") * n for n in (5, 39, 200)],
    )


def _serialpacker(**options: Any) -> Fuzzed:
    form = serialpacker.Format(max_packet=LIMIT, **options)
    make = MarkDecoder if form.mark else serialpacker.Decoder

    def drain(decoder: serialpacker.Decoder) -> list[bytes]:
        return [bytes(data[1:]) for data in iter(decoder.next, None)]

    def feed(decoder: serialpacker.Decoder, chunk: bytes) -> list[bytes]:
        decoder.feed(chunk)
        return drain(decoder)

    def expire(decoder: serialpacker.Decoder) -> list[bytes]:
        decoder.expire()
        return drain(decoder)

    def held(decoder: Any) -> int:
        return len(decoder._buf) + len(decoder.text) + len(getattr(decoder, "_raw", b""))

    unit = bytes(form.mark + form.start)
    return Fuzzed(
        make=lambda: make(form, CONSOLE),
        encode=lambda data: bytes(form.encode(b"-" + data)),  # the CRC-16 needs a byte
        feed=feed,
        expire=expire,
        held=held,
        most=2 * form.longest + CONSOLE,
        special=[form.start, form.mark, unit, b"\x7f", b"\xff\x01", b"\x80", b"\0", b"\0\0"],
        # Many starts, each of which begins a long frame.
        hard=[(unit + form.mark + b"\x64") * n for n in (5, 100, 700)],
    )


DECODERS = {
    "msgpack": _msgpack(PREFIX),
    "msgpack-ascii-prefix": _msgpack(0x1E),
    "msgpack-no-prefix": _msgpack(None),
    "serialpacker": _serialpacker(),
    "serialpacker-crc16": _serialpacker(crc=16),
    "serialpacker-no-start": _serialpacker(frame_start=None),
    "serialpacker-mark": _serialpacker(mark=0x80),
}


def chunks(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut `data` into chunks of `sizes`, again and again."""
    at = 0
    while at < len(data):
        for size in sizes:
            yield data[at : at + size]
            at += size


@st.composite
def damaged(draw: st.DrawFn, fuzzed: Fuzzed) -> bytes:
    """Good messages, with bytes that are wrong, missing, doubled or put in."""
    messages = draw(st.lists(st.binary(max_size=60), min_size=1, max_size=6))
    data = bytearray(b"".join(map(fuzzed.encode, messages)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["flip", "drop", "insert", "double"]))
        if how == "insert":
            data[at:at] = draw(st.sampled_from(fuzzed.special) | st.binary(max_size=5))
        elif how == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 20))]
        elif how == "drop":
            del data[at : at + draw(st.integers(1, 20))]
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


def noise(fuzzed: Fuzzed) -> st.SearchStrategy[bytes]:
    """Bytes that a decoder may meet."""
    tokens = st.lists(st.sampled_from(fuzzed.special) | st.binary(max_size=4), max_size=40)
    random = st.binary(max_size=400) | tokens.map(b"".join) | damaged(fuzzed)
    return random | st.tuples(random, st.sampled_from(fuzzed.hard), random).map(b"".join)


def fuzz(fuzzed: Fuzzed, data: bytes, sizes: list[int], silences: set[int]) -> Any:
    """Feed it all, with a silence behind some of the chunks; return the decoder."""
    decoder = fuzzed.make()
    for i, chunk in enumerate(chunks(data, sizes)):
        fuzzed.feed(decoder, chunk)
        assert fuzzed.held(decoder) <= fuzzed.most + len(chunk)
        if i in silences:
            fuzzed.expire(decoder)
            assert fuzzed.held(decoder) <= fuzzed.most + len(chunk)
    return decoder


@pytest.mark.parametrize("name", DECODERS)
@given(st.data())
def test_a_good_message_after_garbage_and_a_silence_is_received(name: str, data: st.DataObject):
    fuzzed = DECODERS[name]
    sizes = data.draw(st.lists(st.integers(1, 100), min_size=1, max_size=4))
    silences = data.draw(st.sets(st.integers(0, 30)))
    decoder = fuzz(fuzzed, data.draw(noise(fuzzed)), sizes, silences)
    fuzzed.expire(decoder)
    good = data.draw(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
    found = []
    for chunk in chunks(b"".join(map(fuzzed.encode, good)), sizes):
        found += fuzzed.feed(decoder, chunk)
    assert found == good


@pytest.mark.parametrize("name", DECODERS)
@given(st.data())
def test_undamaged_messages_are_received_in_any_chunks(name: str, data: st.DataObject):
    fuzzed = DECODERS[name]
    sizes = data.draw(st.lists(st.integers(1, 100), min_size=1, max_size=4))
    messages = data.draw(st.lists(st.binary(max_size=60), max_size=6))
    decoder = fuzzed.make()
    found = []
    for chunk in chunks(b"".join(map(fuzzed.encode, messages)), sizes):
        found += fuzzed.feed(decoder, chunk)
    assert found == messages


@pytest.mark.parametrize("name", DECODERS)
def test_a_long_noise_does_not_fill_the_memory(name: str):
    fuzzed = DECODERS[name]
    tokens = [*fuzzed.special, bytes(range(256)), fuzzed.encode(b"some data"), b"\xff" * 7]
    data = b"".join(tokens[(i * i + i // 7) % len(tokens)] for i in range(5000))
    fuzz(fuzzed, data, [1, 77, 1000], {5, 50})


# ---- what decodes a whole message: only the errors that it documents

Decode = Callable[[bytes], object]
WHOLE: dict[str, tuple[Decode, tuple[type[Exception], ...]]] = {
    "device-msgpack": (lambda data: ours.unpackb(data, strict_map_key=False), (ValueError,)),
    "span": (_span.decode, (ProtocolError,)),
    "arguments": (_span.unpack_args, (ArgumentError,)),
}


@pytest.mark.parametrize("name", WHOLE)
@given(noise(DECODERS["msgpack-no-prefix"]))
def test_only_documented_errors(name: str, data: bytes):
    decode, errors = WHOLE[name]
    try:
        decode(data)
    except errors:
        return


# ---- what takes decoded messages: no error at all

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(),
    lambda sub: st.lists(sub, max_size=8) | st.dictionaries(st.integers(), sub, max_size=2),
    max_leaves=8,
)


@st.composite
def altered(draw: st.DrawFn, messages: list[Any]) -> Any:
    """One of the messages, with some of its items replaced, removed or put in."""
    message = list(draw(st.sampled_from(messages)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(message)))
        size = draw(st.integers(0, 1))
        message[at : at + size] = draw(st.lists(st.integers(-2, 300) | anything, max_size=1))
    return message


Core = tuple[Callable[[Any], object], list[Any], Callable[[], int]]


class Relayed:
    order = 0


def _requests() -> Core:
    """Both ends have opened a session.

    Returns what receives, what the other end may send, and what counts the messages that are
    kept: at most KEPT.
    """
    one, two = Requests(1 << 12), Requests(2 << 12)
    two.receive(one.hello())
    for message in [two.hello(), *two.out]:
        one.receive(message)
    assert one.open
    one.call(Relayed(), ["x"], b"", 100)

    def receive(message: Any) -> None:
        event = one.receive(message)
        if event is not None and event[0] == CALL:
            one.served[event[1]] = event[2]
        packb([m for m in one.out if m[0] == HELLO])

    options = {DEADLINE: 5, TRACE: ["x"], TRACEBACK: True, KEEP: 1}
    ends = {TRACE: [["x", 5]], TRACEBACK: "text", AT: [1, 2]}
    return receive, [
        two.hello(), [REPLY, 1, b"1", ends], [ERROR, 1, ["KeyError"], ends], [ITEM, 1, b"1", 3],
        [CALL, 5, ["x"], b"0"], [CALL, 6, "y", b"0", 100, options], [CALL, 0, ["x"], b""],
        [CANCEL, 5], [CREDIT, 6, 100], [FEED, 6, b"1", 2], [FED, 6], [ROOM, 1, 100],
    ], lambda: len(one.out)  # fmt: skip


def _reliable() -> Core:
    """The same for the reliable protocol, with frames that were really sent."""
    one, two = (Reliable(Options(), lambda n=n: n * 0x1234567, 0) for n in (1, 2))
    sent: list[Any] = []
    for i in range(5):
        one.sender.put(i)
        two.sender.put(i)
        while (frame := one.next(i * 30)) is not None:
            two.receive(frame, i * 30)
        while (frame := two.next(i * 30)) is not None:
            sent.append(frame)
            if i < 4:
                one.receive(frame, i * 30)
    assert one.state() == OPEN

    def kept() -> int:
        return len(one.past._left) + len(one.receiver.ready) + len(one.receiver._early)

    return lambda frame: one.receive(frame, 200), sent, kept


KEPT = 17  # a window, that of the session before, and its end
RECEIVERS = {"requests": _requests, "reliable": _reliable}


@pytest.mark.parametrize("name", RECEIVERS)
@given(st.data())
def test_messages_that_make_no_sense_raise_nothing(name: str, data: st.DataObject):
    receive, messages, kept = RECEIVERS[name]()
    for _ in range(data.draw(st.integers(1, 10))):
        receive(data.draw(altered(messages) | anything))
        assert kept() <= KEPT


def test_a_reliable_session_takes_no_number_that_is_none():
    receive, messages, kept = _reliable()
    tag, ack, room, bits, seq, msg = messages[-1]
    for k in range(100):
        for wrong in (seq + 1 + k / 128, math.nan, "1", None):
            receive([tag, ack, room, bits, wrong, msg])
    before = kept()
    receive([tag, ack, room, bits, seq, msg])
    assert kept() == before + 1 == 5
