"""SerialPacker's CRC-16 on MicroPython. The host's uses a library."""

try:
    from _crc16_viper import crc16  # machine code: see firmware/viper
except ImportError:
    from moat.micro.proto._crc16_table import TABLE

    def crc16(data):
        """Return SerialPacker's CRC-16 of `data`: polynomial 0xBAAD, 0xDC07 for b"123456789"."""
        table = TABLE
        crc = 0
        for byte in data:
            crc = crc >> 8 ^ table[(crc ^ byte) & 255]
        return (crc & 0x0F0F) << 4 | crc >> 4 & 0x0F0F


__all__ = ("crc16",)
