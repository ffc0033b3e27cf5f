"""The table for SerialPacker's CRC-16: for each byte what it does to the state.

The CRC takes the high half of a byte first, then the low one, each of them with its lowest bit
first. In the table, and in the state that it is used with, the halves of all bytes are swapped,
so that a byte can be taken at once.
"""

from array import array

_POLY = 0xBAAD  # without the highest power, and the lowest one at the top


def _make():
    half = []
    for crc in range(16):
        for _ in range(4):
            crc = crc >> 1 ^ (_POLY if crc & 1 else 0)
        half.append(crc)
    table = array("H", bytes(512))
    for byte in range(256):
        crc = half[byte >> 4]
        crc = crc >> 4 ^ half[(crc ^ byte) & 15]
        table[byte] = (crc & 0x0F0F) << 4 | crc >> 4 & 0x0F0F
    return table


TABLE = _make()
