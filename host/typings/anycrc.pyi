"""What we use of anycrc, typed."""

class _Crc:
    def calc(self, data: bytes | bytearray) -> int: ...

def CRC(  # noqa: N802 -- its name
    width: int, poly: int, init: int, refin: bool, refout: bool, xorout: int
) -> _Crc: ...
