"""What the tests of SerialPacker's frames share."""

from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st
from serialpacker import SerialPacker

from moat.micro.proto._serialpacker import Decoder, Format
from moat.micro.proto._serialpacker_mark import MarkDecoder

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
