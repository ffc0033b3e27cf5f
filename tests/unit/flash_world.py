"""A desk with a board on it that is flashed, with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from moat.micro.boards import load
from moat.micro.discovery import Found
from moat.micro.drives import Drive
from moat.micro.flash._machine import Machine
from moat.micro.flash._steps import (
    Action,
    Answered,
    Ask,
    Copied,
    Copy,
    Done,
    Enter,
    Entered,
    Event,
    Job,
    Limits,
    Look,
    Mount,
    Mounted,
    Seen,
)

RP2 = load("rp2")
LIMITS = Limits()
LOOK_S = 0.2
NEW, OLD = "new", "old"
PORT = Found("a", "/dev/ttyNONE0", "E660", None, "2e8a:0005")
OTHER = Found("b", "/dev/ttyNONE1", "E661", None, "2e8a:0005")
DRIVE = Found("a, boot loader", drive=Drive(Path("/none/RPI-RP2"), "RPI-RP2", "Raspberry Pi RP2"))
OTHER_DRIVE = replace(DRIVE, drive=Drive(Path("/none/RPI-RP21"), "RPI-RP2", "Raspberry Pi RP2"))
RP2350 = Found(
    "c", drive=Drive(Path("/none/RP2350"), "RP2350", "Raspberry Pi RP2350"), is_other=True
)
EMULATED = Found("e", "tcp:127.0.0.1:1", "E662", is_emulated=True)
NEVER = float("inf")


@dataclass
class World:
    """One board that is flashed, and others that only are there."""

    runs: bool = True
    """Else it is in its boot loader."""
    plugged_s: float = 0
    """The user plugs it in then."""
    port: Found = PORT
    drive: Found = DRIVE
    others: list[Found] = field(default_factory=list)
    works: tuple[str, ...] = ("stack",)
    """The ways that do what they promise."""
    lies: tuple[str, ...] = ()
    """The ways that promise it only."""
    drive_s: float = 1
    """So long after a reset there is a drive."""
    is_mounted: bool = True
    mount_error: str = ""
    has_picotool: bool = False
    copy_error: str = ""
    taken_s: float = 0.5
    """The boot loader needs so long to take the image."""
    back_s: float = 1
    answer_s: float = 1
    """After it is back."""
    has_stack: bool = True
    becomes: str | None = NEW
    now: float = 0
    image: str | None = OLD
    since: float = 0
    """It is in its state since then."""
    told: bool = False
    lines: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def flash(self, **job: object) -> str:
        """What Done says."""
        machine = Machine(Job(RP2, NEW, **job), self.lines.append)  # type: ignore[arg-type]
        event: Event = self.look()
        while True:
            action = machine.step(event, self.now)
            if isinstance(action, Done):
                return action.text
            event = self.carry_out(action)

    def carry_out(self, action: Action) -> Event:
        kinds: dict[type, Callable[..., Event]] = {
            Look: self.on_look, Enter: self.on_enter, Mount: self.on_mount, Copy: self.on_copy,
            Ask: self.on_ask,
        }  # fmt: skip
        if not isinstance(action, Look):
            self.done.append(type(action).__name__)
        return kinds[type(action)](action)

    def on_look(self, _action: Look) -> Seen:
        self.now += LOOK_S
        return self.look()

    def look(self) -> Seen:
        passed = self.now - self.since
        if self.now < self.plugged_s:
            return Seen(tuple(self.others))
        if self.runs:
            there = [self.port] if passed >= self.back_s or self.image == OLD else []
            return Seen((*self.others, *there))
        if self.image == "written" and passed >= self.taken_s:
            self.runs, self.since, self.image = True, self.now, self.becomes
            return self.look()
        is_there = passed >= self.drive_s or self.image == "written"
        there = [self.drive] if is_there and self.is_mounted else []
        device = Path("/dev/x") if is_there and not self.is_mounted else None
        by_picotool = self.has_picotool and not there and OTHER_DRIVE not in self.others
        return Seen((*self.others, *there), device, by_picotool)

    def on_enter(self, action: Enter) -> Entered:
        self.done[-1] = action.way
        if action.found != self.port:
            return Entered("this is another board")
        self.told = True
        if action.way in self.works:
            self.runs, self.since = False, self.now
        good = action.way in (*self.works, *self.lies)
        return Entered("" if good else f"no {action.way}")

    def on_mount(self, _action: Mount) -> Mounted:
        self.is_mounted = not self.mount_error
        return Mounted(self.mount_error)

    def on_copy(self, action: Copy) -> Copied:
        by_picotool = action.found is None and self.has_picotool
        if self.runs or not (by_picotool or action.found == self.drive):
            assert not self.told
            return Copied("this is another board")
        if not self.copy_error:
            self.image, self.since = "written", self.now
        return Copied(self.copy_error)

    def on_ask(self, action: Ask) -> Answered:
        if action.found != self.port:
            return Answered(error="this is another board")
        self.done[-1] += " by the REPL" * action.by_repl
        is_up = self.now - self.since >= self.back_s + self.answer_s
        if not is_up or not (self.has_stack or action.by_repl):
            return Answered(error="it is still starting")
        return Answered(self.image)
