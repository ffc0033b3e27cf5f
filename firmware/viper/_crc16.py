"""The loop of proto/_crc.py's CRC-16 in machine code.

A board's manifest freezes this where mpy-cross can compile for its processor.
"""

import micropython


@micropython.viper
def update(data: ptr8, n: int, table: ptr16) -> int:
    """Return the state of the CRC after the first `n` bytes of `data`."""
    crc = 0
    i = 0
    while i < n:
        crc = (crc >> 8) ^ table[(crc ^ data[i]) & 255]
        i += 1
    return crc
