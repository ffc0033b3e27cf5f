"""UF2 files: what is packed, and what is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.micro.boards import Board, all_boards
from moat.micro.uf2 import FAMILIES, FLASH, RP2040, RP2350, Uf2Error, pack, unpack

DATA = bytes(range(256)) * 3
HEAD = struct.Struct("<8I")
# A block as the boot loader's documentation has it: magic, magic, flags, address, size, number,
# count, family; the data; magic.
BLOCK = HEAD.pack(0x0A324655, 0x9E5D5157, 0x2000, 0x10000100, 256, 1, 3, 0xE48BFF56)


def changed(field: int, value: int, block: int = 1, data: bytes = DATA) -> bytes:
    """A UF2 file of which one word in the head of one block is another."""
    file = bytearray(pack(data, RP2040, FLASH))
    struct.pack_into("<I", file, 512 * block + 4 * field, value)
    return bytes(file)


def test_a_block_has_the_documented_layout() -> None:
    block = pack(DATA, RP2040, FLASH)[512:1024]
    assert block[:32] == BLOCK
    assert block[32:288] == DATA[256:512]
    assert block[288:508] == bytes(220)
    assert block[508:] == bytes.fromhex("306fb10a")


@given(st.binary(min_size=1, max_size=2000), st.sampled_from(sorted(FAMILIES.values())))
def test_what_was_packed_is_read_again(data: bytes, family: int) -> None:
    file = pack(data, family, FLASH + 0x1000)
    if family == FAMILIES["absolute"]:
        with pytest.raises(Uf2Error, match="nothing for the flash"):
            unpack(file)
        return
    image = unpack(file)
    assert (image.family, image.address) == (family, FLASH + 0x1000)
    assert image.data == data.ljust(-(-len(data) // 256) * 256, b"\0")


def test_another_family_is_named() -> None:
    image = unpack(pack(DATA, RP2350, FLASH))
    image.require(RP2350)
    with pytest.raises(Uf2Error, match=r"for the family rp2350-arm-s, not for rp2040$"):
        image.require(RP2040)


def test_an_unknown_family_has_its_number() -> None:
    with pytest.raises(Uf2Error, match="family 0x12345678, not"):
        unpack(pack(DATA, 0x12345678, FLASH)).require(RP2040)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "is empty"),
        (pack(DATA, RP2040, FLASH)[:-1], "cut short: 1535 bytes"),
        (pack(DATA, RP2040, FLASH)[:-512], "not whole: 2 of 3 blocks"),
        (pack(DATA, RP2040, FLASH)[512:], "not whole: 2 of 3 blocks"),
        (bytes(512), "block 0 is not one of a UF2"),
        (changed(1, 0), "block 1 is not one of a UF2"),
        (changed(2, 0), "block 1 names no family"),
        (changed(3, FLASH), "block 1 is for 0x10000000: not behind"),
        (changed(4, 128), "block 1 has 128 bytes, not 256"),
        (changed(5, 2), "block 1 has the number 2"),
        (changed(7, RP2350), "two families, rp2040 and rp2350-arm-s"),
    ],
)
def test_what_is_not_whole_is_refused(file: bytes, message: str) -> None:
    with pytest.raises(Uf2Error, match=message):
        unpack(file)


def test_a_damaged_end_of_a_block_is_noticed() -> None:
    file = bytearray(pack(DATA, RP2040, FLASH))
    file[1023] ^= 1
    with pytest.raises(Uf2Error, match="block 1 is not one"):
        unpack(bytes(file))


def test_a_block_for_another_memory_is_passed_over() -> None:
    extra = changed(2, 0x2001, 0, DATA[:256])
    assert unpack(extra + pack(DATA, RP2040, FLASH)).data == DATA


def test_the_block_against_the_erratum_is_passed_over() -> None:
    extra = pack(bytes(256), FAMILIES["absolute"], 0x10FFFF00)
    assert unpack(extra + pack(DATA, RP2350, FLASH)).family == RP2350


@pytest.mark.parametrize(("data", "address"), [(b"", FLASH), (b"x", FLASH + 1)])
def test_what_cannot_be_packed_is_refused(data: bytes, address: int) -> None:
    with pytest.raises(ValueError, match="at least one byte, and starts at a multiple"):
        pack(data, RP2040, address)


@pytest.mark.parametrize(
    "board", [board for board in all_boards() if board.family], ids=lambda board: board.name
)
def test_our_images_are_whole(board: Board) -> None:
    if not board.image_path.is_file():
        pytest.skip(f"run: make BOARD={board.name} build")
    image = unpack(board.image_path.read_bytes())
    image.require(FAMILIES[board.family])
    binary = (board.image_path.parent / "firmware.bin").read_bytes()
    assert image.address == FLASH
    assert image.data.rstrip(b"\0") == binary.rstrip(b"\0")
    hash_ = (board.image_path.parent / "image/image.h").read_text().split('"')[1]
    assert hash_.encode() in image.data
