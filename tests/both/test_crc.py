"""The checksums of frames, however they are computed on this side."""

from binascii import crc32

from moat.micro.proto._crc16 import crc16

# Data and both checksums; the first is the usual check value.
TABLE = (
    (b"123456789", 0xDC07, 0xCBF43926),
    (b"", 0, 0),
    (b"\0", 0, 0xD202EF8D),
    (b"\x01", 0x64A8, 0xA505DF1B),
    (b"\x10", 0xBCE7, 0xCFB5FFE9),
    (b"\xff", 0x6BA2, 0xFF000000),
    (bytes(range(256)), 0xE9F7, 0x29058C73),
    (b"\xfa\x80" * 500, 0xE51E, 0x17DA2D7D),
)


def test_crc_16():
    for data, crc, _ in TABLE:
        for kind in (bytes, bytearray, memoryview):
            assert crc16(kind(data)) == crc, data[:20]


def test_crc_32():
    for data, _, crc in TABLE:
        for kind in (bytes, bytearray, memoryview):
            assert crc32(kind(data)) == crc, data[:20]
