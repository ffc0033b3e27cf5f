"""What docs/wire.md and README.md say is what the code does."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb, unpackb

from moat.micro.boards import all_boards
from moat.micro.cmd import _wire
from moat.micro.cmd._errors import _BUILTIN, _OWN, from_wire
from moat.micro.cmd._request import Requests
from moat.micro.cmd._span import pack_args
from moat.micro.cmd.call import Call
from moat.micro.errors import RemoteError
from moat.micro.proto import _serialpacker
from moat.micro.proto._msgpack import PREFIX, Decoder
from moat.micro.proto._serialpacker import Decoder as FrameDecoder
from moat.micro.proto._serialpacker import Format
from moat.micro.proto._serialpacker_mark import MarkDecoder
from moat.micro.proto.serialpacker import SerialPackerBlkBuf
from tools.docs import blocks, board_table, with_table

ROOT = Path(__file__).parents[2]
WIRE = ROOT / "docs" / "wire.md"
TEXT = WIRE.read_text()
HOST_ID, DEVICE_ID = 0x5A6B7C8D, 0x1A2B3C4D
KINDS = {name: value for name, value in vars(_wire).items() if re.fullmatch("[A-Z]+", name)}


def literal(text: str) -> object:
    """The value of a message as the document writes it, with the names of the kinds."""
    return ast.literal_eval(re.sub(r"\b[A-Z]{3,}\b", lambda m: str(KINDS[m[0]]), text))


@pytest.mark.parametrize("name", blocks(WIRE, "decoder"))
def test_decoder_example(name: str) -> None:
    decoder = Decoder(4096)
    messages: list[object] = []
    for line in blocks(WIRE, "decoder")[name].splitlines():
        what, _, rest = line.partition(" ")
        if what == "in":
            decoder.feed(bytes.fromhex(rest))
        elif what == "silence":
            decoder.expire()
        while (span := decoder.next()) is not None:
            messages.append(unpackb(span))
        if what == "message":
            assert messages.pop(0) == literal(rest.strip())
        elif what == "text":
            assert bytes(decoder.text) == ast.literal_eval("b" + rest.strip())
        elif what == "errors":
            assert decoder.errors == int(rest)
    assert messages == []


@pytest.mark.parametrize("name", blocks(WIRE, "packer"))
def test_frame_example(name: str) -> None:
    form = Format()
    decoder = FrameDecoder(form)
    frames: list[bytes] = []
    encoded = b""
    for line in blocks(WIRE, "packer")[name].splitlines():
        what, _, rest = line.partition(" ")
        if what == "options":
            options = dict(option.split("=") for option in rest.split())
            form = Format(**{key: ast.literal_eval(value) for key, value in options.items()})
            decoder = (MarkDecoder if form.mark else FrameDecoder)(form)
        elif what == "data":
            encoded = bytes(form.encode(eval(rest)))  # noqa: S307 -- our own text
        elif what == "in":
            assert bytes.fromhex(rest) == encoded or not encoded
            decoder.feed(bytes.fromhex(rest))
        elif what == "silence":
            assert decoder.unsettled()
            decoder.expire()
        while (data := decoder.next()) is not None:
            frames.append(bytes(data))
        if what == "frame":
            assert frames.pop(0) == eval(rest)  # noqa: S307
        elif what == "text":
            assert decoder.text == ast.literal_eval(rest.strip())
        elif what == "errors":
            assert decoder.errors == int(rest)
    assert frames == []
    assert not decoder.inside


def test_the_defaults_of_frames() -> None:
    form = Format()
    assert f"`frame_start`: `{form.start.hex()}` by default" in TEXT
    assert f"the largest n, {form.max_packet} by default" in TEXT
    assert f"`crc`: {form.tail * 8} by default" in TEXT
    idle = inspect.signature(SerialPackerBlkBuf).parameters["max_idle"].default
    assert f"`max_idle` ({idle} ms by default)" in TEXT
    assert f"{_serialpacker.LONGEST:,} is the largest `max_packet`" in TEXT
    assert _serialpacker._CREDIT == 4
    assert "allows for four bytes of checksums" in TEXT
    assert f"{_serialpacker._VAIN} times the longest frame" in TEXT


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_after_a_silence_a_whole_message_is_received(garbage: bytes, value: bytes) -> None:
    decoder = Decoder(4096)
    decoder.feed(garbage)
    while decoder.next() is not None:
        pass
    decoder.expire()
    while decoder.next() is not None:
        pass
    decoder.feed(bytes((PREFIX,)) + packb(value))
    assert decoder.next() == packb(value)


def test_table_of_errors() -> None:
    start, end = TEXT.index("<!-- error names -->"), TEXT.index("<!-- end of names -->")
    listed = re.findall(r"\w+Error|Link\w+", TEXT[start:end])
    assert listed == [known.__name__ for known in _OWN + _BUILTIN] + ["TimeoutError"]
    for name in listed[:-1]:
        assert type(from_wire([name, "x"])).__name__ == name
    assert isinstance(from_wire(["Strange", "x"]), RemoteError)


def test_encoded_arguments() -> None:
    example = TEXT.partition("    sys.ping()  ")[2].partition("\n\n")[0]
    shown = re.findall(r"(?:^|\S\)) +(\(nothing\)|[0-9a-f ]+)$", example, re.MULTILINE)
    made = [
        pack_args((), {}),
        pack_args((7,), {}),
        pack_args((), {"m": 7}),
        pack_args((7,), {"m": 7}),
    ]
    assert [b"" if s == "(nothing)" else bytes.fromhex(s) for s in shown] == made


def session(limit: int = 1 << 20) -> tuple[Requests, Requests]:
    """Two ends that know each other."""
    near, far = Requests(HOST_ID, limit), Requests(DEVICE_ID)
    near.out.append(near.hello())
    while near.out or far.out:
        for one, other in ((near, far), (far, near)):
            while one.out:
                other.receive(one.out.pop(0))
    assert near.open
    assert far.open
    return near, far


@pytest.mark.parametrize("size", [0, 1, 31, 200, 250])
@pytest.mark.parametrize("ident", [1, 127, 128, 255])
def test_a_ping_costs_14_bytes(ident: int, size: int) -> None:
    near, far = session()
    near.last = ident - 1
    path = ["sys", "ping"]
    data = pack_args((b"x" * size,), {}) if size else b""
    used, call = near.call(Call(), path, data)
    assert used == ident
    far.receive(unpackb(packb(call)))
    reply = far.reply(ident, packb(b"x" * size))
    prefixes = 2
    total = prefixes + len(packb(call)) + len(packb(reply))
    cost = total - len(packb(path)) - len(data) - len(packb(b"x" * size))
    assert cost <= 14
    if ident > 127 and size:
        assert cost == 14  # the figure is the most that it can be


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_hello_contains_no_ctrl_c(own: int, peer: int) -> None:
    for limit in (4096, 1 << 20):
        near, far = Requests(own, limit), Requests(peer, limit)
        assert b"\x03" not in packb(near.hello())
        near.receive(far.hello())
        assert b"\x03" not in packb(near.hello())


def test_another_version_is_refused_and_named() -> None:
    near, far = session()
    hello = far.hello()
    hello[1] = 1
    *_lost, text = near.receive(hello) or [None]
    assert near.out == [near.hello()]
    assert "version 1" in str(text)
    assert str(_wire.VERSION) in str(text)


def test_unknown_elements_are_ignored_and_unknown_kinds_skipped() -> None:
    near, far = session()
    ident, call = near.call(Call(), ["x"], b"", 5, {77: 1})
    assert (far.receive([*call, "more"]) or ())[:2] == (_wire.CALL, ident)
    assert near.receive([*far.hello(), "more"]) is None
    reply = far.reply(ident, b"\xc0", {77: 1}) or []
    assert (near.receive([*reply, "more"]) or ())[:1] == (_wire.REPLY,)
    assert near.receive([99, 1]) is None
    assert near.receive([_wire.REPLY, ident, b"\xc0"]) is None  # the id is not in use any more
    assert near.skipped == 2


# ---- README


def test_readme_table_of_boards() -> None:
    text = (ROOT / "README.md").read_text()
    if with_table(text, board_table(all_boards())) != text:
        pytest.fail(
            "the table of boards is out of date; run: build/venv/bin/python -m tools.docs",
            pytrace=False,
        )


def test_table_follows_the_facts() -> None:
    boards = all_boards()
    for board in boards:
        assert f"| `{board.name}` |" in board_table(boards)
    assert board_table(boards[:-1]) != board_table(boards)


def test_links_lead_somewhere() -> None:
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text()):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name}: {target}"
