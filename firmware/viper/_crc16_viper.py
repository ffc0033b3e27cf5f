"""SerialPacker's CRC-16 in machine code.

A board's manifest freezes this where mpy-cross can compile for its processor.
"""

import micropython

from moat.micro.proto._crc16_table import TABLE as _TABLE


@micropython.viper
def crc16(data) -> int:
    """Return SerialPacker's CRC-16 of `data`: polynomial 0xBAAD, 0xDC07 for b"123456789"."""
    crc = 0  # the first three variables are in registers
    i = 0
    n = int(len(data))
    buf = ptr8(data)
    table = ptr16(_TABLE)
    four = n & -4
    while i < four:
        crc = crc >> 8 ^ table[(crc ^ buf[i]) & 255]
        crc = crc >> 8 ^ table[(crc ^ buf[i + 1]) & 255]
        crc = crc >> 8 ^ table[(crc ^ buf[i + 2]) & 255]
        crc = crc >> 8 ^ table[(crc ^ buf[i + 3]) & 255]
        i += 4
    while i < n:
        crc = crc >> 8 ^ table[(crc ^ buf[i]) & 255]
        i += 1
    return (crc & 0x0F0F) << 4 | crc >> 4 & 0x0F0F
