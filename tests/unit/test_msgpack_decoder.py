"""The core that cuts a byte stream into MessagePack messages and console text."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType, Timestamp, Unpacker, packb, unpackb

from moat.micro.proto._msgpack import PREFIX, Decoder

LIMIT = 200
MARK = bytes((PREFIX,))

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=300)
    | st.builds(ExtType, st.integers(0, 127), st.binary(max_size=40))
    | st.builds(Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9 - 1))
)
objects = st.recursive(
    scalars,
    lambda sub: (
        st.lists(sub, max_size=20)
        | st.dictionaries(st.text(max_size=5) | st.integers(-99, 99), sub, max_size=20)
    ),
    max_leaves=15,
)
small = st.recursive(
    st.none() | st.integers(-200, 1000) | st.text(max_size=20) | st.binary(max_size=20),
    lambda sub: st.lists(sub, max_size=3),
    max_leaves=4,
).filter(lambda obj: len(packb(obj)) <= LIMIT)
console = st.text(max_size=20).map(str.encode)
garbage = st.binary(max_size=20).map(lambda data: data.replace(MARK, b""))
any_bytes = st.binary(max_size=300) | st.lists(
    st.sampled_from([MARK, b"\x03", b"\x93", b"\xda\x00\x20", b"\xc4\x05", b"\xdf\xff", b"text"]),
    max_size=30,
).map(b"".join)


def cut(data, sizes):
    """Cut `data` into chunks of `sizes`, again and again."""
    at = 0
    while at < len(data):
        for size in sizes:
            yield data[at : at + size]
            at += size


chunkings = st.lists(st.integers(1, 30), min_size=1, max_size=5)


def frame(obj):
    return MARK + packb(obj)


def messages(decoder):
    """Return all messages that are ready, decoded."""
    return [unpackb(span, strict_map_key=False) for span in spans(decoder)]


def spans(decoder):
    return list(iter(decoder.next, None))


def feed(decoder, data):
    decoder.feed(data)
    return spans(decoder)


def decode(data, sizes, **kw):
    """Decode `data` in chunks; return messages and the decoder."""
    decoder = Decoder(LIMIT, **{"console": 10_000, **kw})
    found = []
    for chunk in cut(data, sizes):
        found += feed(decoder, chunk)
    return found, decoder


# ---- messages


@given(st.lists(objects, max_size=2), chunkings)
def test_round_trip_of_any_object(objs, sizes):
    decoder = Decoder(1 << 20)
    found = []
    for chunk in cut(b"".join(map(frame, objs)), [size * 7 for size in sizes]):
        decoder.feed(chunk)
        found += messages(decoder)
    assert found == objs
    assert decoder.errors == 0
    assert not decoder.text
    assert not decoder.inside


@given(st.lists(small, max_size=5), chunkings)
def test_round_trip_without_a_prefix(objs, sizes):
    found, decoder = decode(b"".join(map(packb, objs)), sizes, prefix=None)
    assert [unpackb(span) for span in found] == objs
    assert (decoder.errors, decoder.text, decoder.inside) == (0, b"", False)


@given(any_bytes, chunkings)
def test_any_chunking_gives_the_same(data, sizes):
    found, decoder = decode(data, sizes)
    whole, other = decode(data, [1000])
    assert found == whole
    assert decoder.text == other.text
    assert decoder.errors == other.errors
    assert decoder.inside == other.inside


@given(any_bytes, chunkings)
def test_any_chunking_gives_the_same_without_a_prefix(data, sizes):
    found, decoder = decode(data, sizes, prefix=None)
    whole, other = decode(data, [1000], prefix=None)
    assert found == whole
    assert (decoder.errors, decoder.inside) == (other.errors, other.inside)


@given(any_bytes)
def test_expire_gives_the_same_for_any_chunking(data):
    results = []
    for sizes in ([1], [7], [1000]):
        found, decoder = decode(data, sizes)
        decoder.expire()
        found += spans(decoder)
        results.append((found, bytes(decoder.text), decoder.errors))
    assert results[0] == results[1] == results[2]


@given(st.lists(st.tuples(garbage | console, small), max_size=5), garbage, chunkings)
def test_text_between_messages_passes_through(parts, tail, sizes):
    data = b"".join(text + frame(obj) for text, obj in parts) + tail
    found, decoder = decode(data, sizes)
    assert [unpackb(span) for span in found] == [obj for _, obj in parts]
    assert decoder.text == b"".join(text for text, _ in parts) + tail
    assert decoder.errors == 0


@given(st.text(), chunkings)
def test_utf8_text_stays_intact(text, sizes):
    found, decoder = decode(text.encode(), sizes)
    assert decoder.text.decode() == text
    assert found == []


def test_another_prefix():
    found, decoder = decode(b"hi\x1e" + packb([PREFIX, 5]) + b"\xc1", [3], prefix=0x1E)
    assert [unpackb(span) for span in found] == [[PREFIX, 5]]
    assert decoder.text == b"hi\xc1"


# ---- where an object ends, compared with the package on PyPI


def ends_like_msgpack(data):
    """Return where the decoder sees the end of the object in `data`, and where msgpack does."""
    decoder = Decoder(1 << 20, prefix=None)
    decoder.feed(data)
    span = decoder.next()
    ours = None if span is None else len(span)
    unpacker = Unpacker(strict_map_key=False)
    unpacker.feed(data)
    try:
        unpacker.skip()
    except Exception:
        return ours, None
    return ours, unpacker.tell()


@given(objects, st.binary(max_size=5))
def test_an_object_ends_where_msgpack_says(obj, more):
    ours, theirs = ends_like_msgpack(packb(obj) + more)
    assert ours == theirs == len(packb(obj))


# The length fields; what has none has the length in its type.
FIELDS = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xC7: "B", 0xC8: "H", 0xC9: "I", 0xD9: "B"}
FIELDS |= {0xDA: "H", 0xDB: "I", 0xDC: "H", 0xDD: "I", 0xDE: "H", 0xDF: "I"}


@pytest.mark.parametrize("length", [0, 1, 3, 17])
def test_every_type_ends_where_msgpack_says(length):
    for code in set(range(256)) - {PREFIX}:
        field = struct.pack(">" + FIELDS[code], length) if code in FIELDS else b""
        data = bytes((code,)) + field + bytes(100)  # zeros are objects of one byte each
        ours, theirs = ends_like_msgpack(data)
        assert theirs is not None
        assert ours == theirs, hex(code)
        # One byte less is not enough; one more is not taken.
        assert ends_like_msgpack(data[: theirs - 1]) == (None, None), hex(code)
        assert ends_like_msgpack(data[: theirs + 1]) == (theirs, theirs), hex(code)


# ---- what is no message


def test_a_wrong_type_is_skipped_and_counted():
    bad = MARK + b"\x92\x01\xc1" + packb([1, 2])
    found, decoder = decode(bad + frame("next"), [100])
    # Reading starts again behind the failed prefix, and finds the 0xC1 that is not one.
    assert found == [packb([1, 2]), packb("next")]
    assert decoder.text == b"\x92\x01"
    assert decoder.errors == 1


@pytest.mark.parametrize(
    "head",
    [b"\xc5\x00\xc9", b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\x80\x00\x00\x00"],
)
def test_an_announced_length_beyond_the_limit_is_given_up_at_once(head):
    found, decoder = decode(MARK + head + b"abc" + frame("next"), [1000])
    assert [unpackb(span) for span in found] == ["next"]
    assert decoder.text == head + b"abc"
    assert decoder.errors == 1


@given(st.integers(0, 400), chunkings)
def test_the_limit_is_exact(length, sizes):
    msg = packb(b"x" * length)
    found, decoder = decode(MARK + msg + frame(1), sizes)
    fits = len(msg) <= LIMIT
    assert found == [msg] * fits + [packb(1)]
    assert decoder.errors == (not fits)


@given(st.lists(any_bytes | small.map(frame), max_size=20), chunkings, st.data())
def test_memory_is_bounded(parts, sizes, data):
    decoder = Decoder(LIMIT, console=50)
    for chunk in cut(b"".join(parts), sizes):
        decoder.feed(chunk)
        assert len(decoder._buf) <= LIMIT + len(chunk)
        spans(decoder)
        assert len(decoder.text) <= 50
        if data.draw(st.booleans()):
            decoder.expire()
            spans(decoder)


@given(st.binary(max_size=300), chunkings, st.none() | st.just(PREFIX) | st.integers(0, 255))
def test_random_bytes_never_raise(data, sizes, prefix):
    decode(data, sizes, prefix=prefix)


def test_the_oldest_text_is_dropped_and_counted():
    _, decoder = decode(b"0123456789", [3], console=4)
    assert decoder.text == b"6789"
    assert decoder.dropped == 6


# ---- a message whose rest never comes


@given(small, st.data(), st.lists(small, max_size=3), chunkings)
def test_after_a_truncated_message_the_next_one_is_received(broken, data, good, sizes):
    whole = frame(broken)
    part = whole[: data.draw(st.integers(1, len(whole) - 1))]
    decoder = Decoder(LIMIT)
    before = feed(decoder, part)
    assert before == []
    assert decoder.inside
    decoder.expire()
    spans(decoder)  # whatever a 0xC1 within it looked like
    assert not decoder.inside
    assert decoder.errors >= 1
    found = []
    for chunk in cut(b"".join(map(frame, good)), sizes):
        found += feed(decoder, chunk)
    assert [unpackb(span) for span in found] == good


@given(any_bytes, small)
def test_one_silence_is_enough(rubbish, good):
    decoder = Decoder(LIMIT)
    feed(decoder, rubbish)
    decoder.expire()
    spans(decoder)
    assert not decoder.inside
    assert [unpackb(span) for span in feed(decoder, frame(good))] == [good]


def test_a_message_swallowed_by_a_broken_one_is_found_after_the_silence():
    decoder = Decoder(LIMIT)
    assert feed(decoder, MARK + b"\xc4\x64half of it" + frame("hello")) == []
    decoder.expire()
    assert spans(decoder) == [packb("hello")]
    assert decoder.text == b"\xc4\x64half of it"


def test_expire_outside_of_a_message_does_nothing():
    decoder = Decoder(LIMIT)
    feed(decoder, b"text")
    decoder.expire()
    assert spans(decoder) == []
    assert (decoder.text, decoder.errors) == (b"text", 0)
    assert feed(decoder, frame(1)) == [b"\x01"]


def test_silence_without_a_prefix_skips_byte_by_byte():
    decoder = Decoder(LIMIT, prefix=None)
    assert feed(decoder, b"\x93\x01\x02") == []
    decoder.expire()
    assert spans(decoder) == [b"\x01", b"\x02"]
    assert decoder.errors == 1


def test_reset_forgets_the_half_message_and_keeps_the_text():
    decoder = Decoder(LIMIT)
    feed(decoder, b"text" + MARK + b"\xc4\x05ab")
    decoder.reset()
    assert not decoder.inside
    assert feed(decoder, frame([7])) == [packb([7])]
    assert decoder.text == b"text"


# ---- Ctrl-C


@given(st.lists(small | st.just([3, b"\x03\x03"]), max_size=5), chunkings)
def test_ctrl_c_inside_of_messages_is_data(objs, sizes):
    _, decoder = decode(b"".join(map(frame, objs)), sizes)
    assert not decoder.ctrl_c


@given(st.lists(small, max_size=2), garbage, chunkings)
def test_ctrl_c_outside_of_messages_is_noticed(objs, text, sizes):
    _, decoder = decode(b"".join(map(frame, objs)) + text + b"\x03", sizes)
    assert decoder.ctrl_c
    assert decoder.text == text + b"\x03"


@given(st.sampled_from([b"\xc1", b"\x93\xc1", b"\xdd\xff\xff\xff\xff"]), garbage, chunkings)
def test_the_rest_of_a_failed_message_holds_no_ctrl_c(head, rest, sizes):
    _, decoder = decode(MARK + head + b"\xa0" + rest + b"\x03", sizes)
    assert decoder.errors == 1
    assert not decoder.ctrl_c
    assert decoder.unsettled()
    decoder.expire()
    assert spans(decoder) == []
    assert not decoder.ctrl_c
    assert not decoder.unsettled()


@given(st.binary(max_size=100))
def test_after_a_silence_ctrl_c_is_noticed_again(rest):
    decoder = Decoder(LIMIT)
    feed(decoder, MARK + rest)
    decoder.ctrl_c = False
    decoder.expire()
    spans(decoder)
    assert not decoder.ctrl_c or not decoder.errors
    feed(decoder, b"\x03")
    assert decoder.ctrl_c


def test_looking_for_a_message_in_garbage_is_bounded():
    """Each of its 800 prefixes begins an array that ends nowhere, and hides in a string."""
    head = b"\xdc\x06\x72"
    decoder = Decoder(4096)
    junk = MARK + head + (b"\xa3" + MARK + head) * 800
    assert feed(decoder, junk[:4000]) == []
    decoder.expire()
    assert decoder.next() is None
    assert decoder.errors < 20
    assert feed(decoder, frame("good")) == [packb("good")]
