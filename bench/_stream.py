"""What the benchmarks of the reliable protocol share: two ends in virtual time, a full line."""

from __future__ import annotations

from typing import Any

from msgpack import packb

from moat.micro.proto._options import Options
from moat.micro.proto._serialpacker import Format
from moat.micro.testing.simulation import End, Link, Simulation

__all__ = ("MESSAGE", "WINDOW", "fill", "opened", "size")

WINDOW = 16
MESSAGE = 100  # bytes of a message

_FORMAT = Format(max_packet=255)


def size(frame: Any) -> int:
    """Bytes of a frame on the line: MessagePack, between SerialPacker's header and CRC-32."""
    return len(_FORMAT.encode(packb(frame)))


def opened(seed: int, link: Link) -> Simulation:
    """Two ends in a session, over a link that has been good so far."""
    sim = Simulation(seed, Options(window=WINDOW), Link(delay_ms=link.delay_ms))
    sim.run(1000)
    sim.link = link
    for end in sim.ends:
        end.sent_frames = 0
    return sim


def fill(end: End, count: int, msg: Any) -> None:
    """Have `end` send `msg` so many times, as soon as there is room."""
    left = count

    def more() -> None:
        nonlocal left
        while left and end.send(msg) is not None:
            left -= 1

    end.on_room = more
    end.wake()
