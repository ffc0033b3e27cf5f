"""A million messages over a bad link, in virtual time, with the checks of the model.

    make soak                                two minutes; MESSAGES=… SEED=…
    python -m tests.soak --messages 10000 --seed 7

Two cores of the reliable protocol and their users live through one episode after the other.
Each has its own seed, windows and weather: loss, doubled, late and damaged frames, partitions,
links that go away, ends that sleep, start anew or take leave. What `reliable_model` promises is
checked all the time, and at the end of each episode that the two still can talk. The first
promise that is broken ends it, with the seed of the episode; `--seed N --messages 1` repeats
that one.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random
from typing import Any

from msgpack import packb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from moat.micro.proto._reliable import CLOSING, ENDED, Reliable
from moat.micro.proto._serialpacker import Decoder, Format
from tests.unit.reliable_model import Machine

_MESSAGES = 1_000_000
_STEPS = 150  # of an episode
_WINDOWS = [1, 2, 5, 8, 16, 64]
_FORMAT = Format(max_packet=255)


class Counting(Reliable):
    """A core that counts the duplicates that it drops, and its sessions, over all its lives."""

    duplicates = 0
    opened = 0

    def _fresh(self, now: int) -> None:
        if hasattr(self, "receiver"):
            Counting.duplicates += self.receiver.duplicates
        super()._fresh(now)

    def _open(self, now: int) -> None:
        Counting.opened += 1
        super()._open(now)


def damage(frame: Any, random: Random) -> None:
    """Damage some bytes of the frame, and have the layer below drop it."""
    data = bytearray(_FORMAT.encode(packb(frame)))
    for at in random.sample(range(len(data)), random.randint(1, 3)):
        data[at] ^= 1 << random.randrange(8)
    decoder = Decoder(_FORMAT)
    decoder.feed(data)
    if decoder.next() is not None:
        raise RuntimeError(f"the CRC-32 has let a damaged frame pass: {data.hex()}")


class Episode:
    """Two ends from their first hello to their last farewell."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.damage = random.choice([0, 0, 0.01, 0.1])
        self.damaged = self.restarts = self.partitions = 0
        self.machine = machine = Machine()
        machine.core = Counting
        one = random.choice(_WINDOWS)
        # A full queue has to go through the other window in less than the time that a farewell may
        # take.
        other = random.choice([w for w in _WINDOWS if one <= 8 * w and w <= 8 * one])
        machine.begin(
            seed=seed,
            windows=(one, other),
            persistent=(random.random() < 0.5, random.random() < 0.5),
        )
        self.sim = machine.sim
        self._carry = self.sim.carry
        self.sim.carry = self.carry  # type: ignore[method-assign]

    def carry(self, to: Any, frame: Any, line_ms: float) -> None:
        """Take a frame to the other end, unless it is damaged."""
        if self.damage and self.random.random() < self.damage:
            damage(frame, self.random)
            self.damaged += 1
        else:
            self._carry(to, frame, line_ms)

    def run(self) -> None:
        """Live it. AssertionError: a promise is broken."""
        machine = self.machine
        for step in range(_STEPS):
            self.step()
            machine.no_session_ends_for_nothing()
            machine.closing_ends()
            if step % 10 == 0:
                machine.users_are_content()
        machine.users_are_content()
        self.damage = 0
        machine.teardown()

    def step(self) -> None:
        """Let something happen."""
        random, machine = self.random, self.machine
        what = random.random()
        if what < 0.70:
            n = 2 * max(end.options.window for end in self.sim.ends)
            counts = (random.randint(0, n), random.randint(0, n))
            channel = random.choice([None, None, None, "x"])
            machine.send(counts=counts, channel=channel, ms=random.choice([5, 20, 60, 200]))
        elif what < 0.80:
            machine.weather(
                loss=random.choice([0, 0.01, 0.1, 0.4]),
                duplicate=random.choice([0, 0.1, 0.5]),
                reorder=random.choice([0, 0.1, 0.5]),
                late_ms=random.choice([20, 200, 900]),
                delay_ms=random.choice([1, 10, 60]),
                rate=random.choice([0, 0, 500]),
            )
        elif what < 0.90:
            machine.idle(ms=random.choice([20, 200, 1000]))
        elif what < 0.95:
            reading = random.random() < 0.8
            machine.read(who=random.randrange(2), reading=reading)
        else:
            self.trouble()

    def trouble(self) -> None:
        """Let something bad happen, or something that ends it."""
        random, machine = self.random, self.machine
        what = random.choice(["cut", "cut", "unplug", "plug", "plug", "sleep", "restart", "close"])
        for user in machine.users:
            if user.end.core.state() in (CLOSING, ENDED):
                what = "restart"
        if self.sim.link.down:
            what = "plug"
        who = random.randrange(2)
        if what == "restart":
            self.restarts += 1
            ended = [u.end.core.state() in (CLOSING, ENDED) for u in machine.users]
            who = ended.index(True) if any(ended) else who
        self.partitions += what in ("cut", "unplug")
        machine.trouble(what=what, who=who, ms=random.choice([20, 200, 1000]))


def soak(messages: int, seed: int, console: Console) -> dict[str, int | float]:
    """Run episodes until so many messages have arrived; returns the counts."""
    counts: dict[str, int | float] = dict.fromkeys(
        ("messages", "frames", "lost", "damaged", "doubled", "late", "partitions", "restarts"), 0
    )
    counts |= {"virtual": 0.0, "episodes": 0}
    Counting.duplicates = Counting.opened = 0
    began = time.monotonic()
    columns = (TextColumn("messages"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=messages)
        while counts["messages"] < messages:
            episode = Episode(seed)
            try:
                episode.run()
            except BaseException as exc:
                exc.add_note(f"in the episode with the seed {seed}")
                raise
            _add(counts, episode)
            progress.update(task, completed=min(messages, counts["messages"]))
            seed += 1
    return counts | {
        "sessions": Counting.opened,
        "duplicates": Counting.duplicates,
        "wall": time.monotonic() - began,
    }


def _add(counts: dict[str, int | float], episode: Episode) -> None:
    sim = episode.sim
    for user in episode.machine.users:
        counts["messages"] += len(user.got)
        counts["frames"] += user.end.sent_frames
        Counting.duplicates += user.end.core.receiver.duplicates
    for name in ("lost", "doubled", "late"):
        counts[name] += getattr(sim, name)
    for name in ("damaged", "partitions", "restarts"):
        counts[name] += getattr(episode, name)
    counts["virtual"] += sim.exact / 1000
    counts["episodes"] += 1


_ROWS = {
    "messages": "messages that arrived, each once and in order",
    "frames": "frames that were sent",
    "lost": "  lost",
    "damaged": "  damaged, and found so by the CRC-32",
    "doubled": "  doubled",
    "late": "  late, behind others",
    "duplicates": "duplicates that a receiver has dropped",
    "sessions": "sessions that were opened, counted at each end",
    "restarts": "restarts of an end",
    "partitions": "partitions, and links that went away",
    "episodes": "episodes",
    "virtual": "virtual time, s",
    "wall": "wall time, s",
}


def table(counts: dict[str, int | float]) -> Table:
    """The counts, to be printed."""
    result = Table(show_header=False)
    result.add_column()
    result.add_column(justify="right")
    for name, text in _ROWS.items():
        result.add_row(text, f"{counts[name]:,.0f}")
    return result


def main(argv: list[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.soak")
    parser.add_argument("--messages", type=int, default=_MESSAGES)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    console = Console()
    console.print(table(soak(args.messages, args.seed, console)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
