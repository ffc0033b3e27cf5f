"""Frames that ReliableMsg's protocol needs for a message, in virtual time, without loss.

Window 16, both ends always have something to send: a stream one way, and requests each of which
is answered at once (as many of them under way as the window allows). Frames of both directions
are counted, over the messages of the stream, and over the requests.
"""

from __future__ import annotations

from bench._figure import Figure, at_most
from bench._stream import MESSAGE, fill, opened, size
from moat.micro.testing.simulation import Link, Simulation

__all__ = ("measure",)

_COUNT = 3000
_LIMIT_MS = 1_000_000

# A serial line, and one that is never busy.
_LINKS = {"serial": Link(rate=11_520, delay_ms=5, size=size), "fast": Link(delay_ms=5)}


async def measure() -> list[Figure]:
    """Frames per message on each of the links."""
    name = "reliable_frames"
    figures = []
    for link, how in _LINKS.items():
        figures += [
            Figure(f"{name}.stream_{link}", _stream(how), "frames/message", at_most(1.15)),
            Figure(f"{name}.request_{link}", _requests(how), "frames/request", at_most(2.1)),
        ]
    return figures


def _stream(link: Link) -> float:
    sim = opened(1, link)
    fill(sim.ends[0], _COUNT, bytes(MESSAGE))
    return _frames(sim, sim.ends[1].received)


def _requests(link: Link) -> float:
    sim = opened(1, link)
    a, b = sim.ends
    b.on_message = b.send
    fill(a, _COUNT, bytes(MESSAGE))
    return _frames(sim, a.received)


def _frames(sim: Simulation, received: list[object]) -> float:
    sim.run(sim.exact + _LIMIT_MS, lambda: len(received) == _COUNT)
    if len(received) != _COUNT:
        raise RuntimeError(f"{len(received)} messages of {_COUNT} have arrived")
    return sum(end.sent_frames for end in sim.ends) / _COUNT
