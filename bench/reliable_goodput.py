"""Goodput of ReliableMsg's protocol on a serial line that loses frames, in virtual time.

115200 baud and 5 ms each way, window 16, messages of 100 bytes in one direction. A frame is as
long as it is on a real line: MessagePack, and SerialPacker with a CRC-32. Loss hits both
directions, data and acknowledgements alike; the sender waits while its line is busy. Each
figure is the median over several seeds, from the first message to the arrival of the last one.

* `lossless`: without loss, over what the headers leave of the line: it carries 11,520 bytes a
  second, and a frame is longer than its message.
* `loss_1` and so on: over (1 - p) of the lossless goodput. What is lost has to be sent once
  more, so that is all that there can be.
"""

from __future__ import annotations

import statistics

from bench._figure import Figure, at_least
from bench._stream import MESSAGE, fill, opened, size
from moat.micro.testing.simulation import Link

__all__ = ("measure",)

_RATE = 11_520  # bytes a second
_DELAY_MS = 5
_COUNT = 3000
_SEEDS = (1, 2, 3, 4, 5)
_LIMIT_MS = 1_000_000


async def measure() -> list[Figure]:
    """The ratios, and the lossless goodput."""
    name = "reliable_goodput"
    lossless = _goodput(1, 0)
    tag, number = 1 << 29, _COUNT
    header = size([tag, 0, 16, 0, number, bytes(MESSAGE)]) - MESSAGE
    line = _RATE * MESSAGE / (MESSAGE + header)
    figures = [
        Figure(f"{name}.lossless", lossless / line, "x what headers leave", at_least(0.9)),
        Figure(f"{name}.bytes_per_s", lossless, "bytes/s"),
    ]
    for percent in (1, 5, 10, 20):
        p = percent / 100
        found = statistics.median(_goodput(seed, p) for seed in _SEEDS)
        unit = "x (1 - p) of lossless"
        figures.append(
            Figure(f"{name}.loss_{percent}", found / lossless / (1 - p), unit, at_least(0.9))
        )
    return figures


def _goodput(seed: int, loss: float) -> float:
    """Bytes of messages a second."""
    sim = opened(seed, Link(loss=loss, rate=_RATE, delay_ms=_DELAY_MS, size=size))
    a, b = sim.ends
    message = bytes(MESSAGE)
    start = sim.exact
    fill(a, _COUNT, message)
    sim.run(start + _LIMIT_MS, lambda: len(b.received) == _COUNT)
    if b.received != [message] * _COUNT:
        raise RuntimeError(f"{len(b.received)} messages of {_COUNT} have arrived")
    return _COUNT * MESSAGE / (sim.exact - start) * 1000
