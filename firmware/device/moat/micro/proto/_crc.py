"""Checksums of frames. The host's twin uses libraries.

The loop of the CRC-16 is looked for in a module `_crc16` first: our images have one where
MicroPython can compile it to machine code (see firmware/viper).
"""

from array import array
from binascii import crc32

try:
    from _crc16 import update
except ImportError:

    def update(data, n, table):
        """Return the state of the CRC after the first `n` bytes of `data`."""
        crc = 0
        for byte in data:
            crc = crc >> 8 ^ table[(crc ^ byte) & 255]
        return crc


__all__ = ("crc16", "crc32")

_POLY = 0xBAAD  # without its first bit, and with the last one at the top


def _make_table():
    """Return for each byte what it does to the CRC.

    The CRC takes the high half of a byte first, then the low one, each of them with its lowest
    bit first. The table, and the state made with it, have the halves of all bytes swapped, so
    that a byte can be taken at once.
    """
    half = array("H", bytes(32))
    for i in range(16):
        crc = i
        for _ in range(4):
            crc = crc >> 1 ^ (_POLY if crc & 1 else 0)
        half[i] = crc
    table = array("H", bytes(512))
    for i in range(256):
        crc = half[i >> 4]
        crc = crc >> 4 ^ half[(crc ^ i) & 15]
        table[i] = _swapped(crc)
    return table


def _swapped(crc):
    return (crc & 0x0F0F) << 4 | crc >> 4 & 0x0F0F


_table = _make_table()


def crc16(data):
    """Return SerialPacker's CRC-16 of `data`: polynomial 0xBAAD, 0xDC07 for b"123456789"."""
    return _swapped(update(data, len(data), _table))
