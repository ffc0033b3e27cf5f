"""The time of day. Without a battery a board's clock begins anew with each start."""

import time

__all__ = ("unix_us",)  # what the host has, too

# Microseconds from 1970 to the port's epoch; and what is to be added to its clock.
_EPOCH = 946_684_800_000_000 if time.gmtime(0)[0] == 2000 else 0
_offset = _EPOCH


def unix_us():
    """Return microseconds since the beginning of 1970, UTC."""
    return time.time_ns() // 1000 + _offset


def set_unix_us(us):
    """Set the time of day, and the board's clock if it has one."""
    global _offset
    try:
        from machine import RTC
    except ImportError:
        pass  # the board, or the process, goes on as it is
    else:
        s, later = (us - _EPOCH) // 1_000_000, 0
        if s >= 0x80000000:  # too much for gmtime; after 28 years all is the same
            s, later = s - 883_612_800, 28
        y, mo, d, h, mi, s, wd = time.gmtime(s)[:7]
        RTC().datetime((y + later, mo, d, wd, h, mi, s, 0))
    _offset += us - unix_us()
