"""The steps of flashing, in a world with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.micro.boards import load
from moat.micro.discovery import Found, NoBoardError, SeveralBoardsError
from moat.micro.drives import Drive
from moat.micro.errors import MoatError
from moat.micro.flash._machine import (
    Action,
    Answered,
    Ask,
    Copied,
    Copy,
    Done,
    Enter,
    Entered,
    Event,
    FlashError,
    Job,
    Limits,
    Look,
    Machine,
    Mount,
    Mounted,
    Seen,
    WrongBoardError,
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
    """The user plugs it in then, holding BOOTSEL if `bootsel`."""
    bootsel: bool = False
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


def test_over_a_running_program():
    world = World()
    assert world.flash() == "image new runs"
    assert world.done[:2] == ["stack", "Copy"]
    assert set(world.done[2:]) == {"Ask"}


def test_a_board_in_its_boot_loader():
    world = World(runs=False)
    assert world.flash() == "image new runs"
    assert world.done[0] == "Copy"


@pytest.mark.parametrize("way", ["repl", "touch"])
def test_the_next_way_follows_one_that_fails(way):
    world = World(works=(way,))
    world.flash()
    assert world.done[: world.done.index("Copy")][-1] == way


def test_the_next_way_follows_one_that_only_promises():
    world = World(works=("touch",), lies=("stack", "repl"))
    world.flash()
    assert world.done[:4] == ["stack", "repl", "touch", "Copy"]
    assert world.now > 2 * LIMITS.drive


def test_bootsel_is_asked_for_when_nothing_is_there():
    world = World(runs=False, plugged_s=60)
    assert world.flash() == "image new runs"
    assert "no board is plugged in" in world.lines[0]
    assert "hold BOOTSEL" in world.lines[1]


def test_a_running_board_that_is_plugged_in_will_do():
    world = World(plugged_s=60)
    assert world.flash() == "image new runs"
    assert world.done[0] == "stack"


def test_bootsel_is_asked_for_when_no_way_works():
    world = World(works=())
    later = 30.0

    def by_hand(action: Enter) -> Entered:
        entered = World.on_enter(world, action)
        world.plugged_s, world.runs, world.since = later, False, later
        return entered

    world.on_enter = by_hand  # type: ignore[method-assign]
    assert world.flash() == "image new runs"
    assert any("does not enter its boot loader" in line for line in world.lines)
    assert world.now > later


def test_nobody_plugs_it_in():
    world = World(plugged_s=NEVER)
    with pytest.raises(FlashError, match="no board in its boot loader within 120 s"):
        world.flash()
    assert LIMITS.hold <= world.now < LIMITS.hold + 1


def test_why_no_way_works_is_told():
    world = World(works=())
    with pytest.raises(FlashError, match=r"no stack; no repl; no touch$"):
        world.flash()
    assert world.done == ["stack", "repl", "touch"]


def test_several_boards():
    world = World(others=[OTHER])
    with pytest.raises(SeveralBoardsError):
        world.flash()
    assert world.done == []


@pytest.mark.parametrize("name", [{"port": PORT.port}, {"serial": "e660"}])
def test_one_of_several(name):
    world = World(others=[OTHER, OTHER_DRIVE])
    assert world.flash(**name) == "image new runs"


def test_a_serial_number_that_is_not_there():
    with pytest.raises(NoBoardError):
        World().flash(serial="1234")


def test_another_board_does_not_count_as_back():
    world = World(back_s=NEVER)
    come = replace(OTHER, port="/dev/ttyNONE9")

    def on_copy(action: Copy) -> Copied:
        world.others.append(come)
        return World.on_copy(world, action)

    world.on_copy = on_copy  # type: ignore[method-assign]
    with pytest.raises(FlashError, match="after 30 s the board has not come back"):
        world.flash()


def test_an_emulated_board_keeps_its_port():
    drive = replace(EMULATED, drive=DRIVE.drive)
    world = World(port=EMULATED, drive=drive, others=[OTHER])
    assert world.flash(serial="E662") == "image new runs"


def test_another_kind_of_board_is_refused():
    world = World(plugged_s=NEVER, others=[RP2350])
    with pytest.raises(WrongBoardError) as err:
        world.flash()
    assert str(err.value) == (
        "/none/RP2350: this board is a Raspberry Pi RP2350 (RP2350), and rp2 is a RPI-RP2; "
        "nothing was written"
    )


def test_a_running_board_may_turn_out_to_be_another_kind():
    world = World(drive=RP2350)
    with pytest.raises(WrongBoardError):
        world.flash()
    assert world.done == ["stack"]


def test_a_drive_is_mounted_when_no_desktop_does_it():
    world = World(is_mounted=False)
    assert world.flash() == "image new runs"
    assert world.done[:3] == ["stack", "Mount", "Copy"]
    assert world.now > LIMITS.mount


def test_a_drive_that_cannot_be_mounted():
    world = World(is_mounted=False, mount_error="not allowed")
    with pytest.raises(FlashError, match=r"is not mounted: not allowed$"):
        world.flash()


def test_picotool_takes_over_without_a_drive():
    world = World(runs=False, is_mounted=False, mount_error="not allowed", has_picotool=True)
    assert world.flash() == "image new runs"
    assert world.done[:2] == ["Mount", "Copy"]


def test_a_copy_that_fails():
    world = World(copy_error="the disk is full")
    with pytest.raises(FlashError, match=r"not written to its end: the disk is full; .*again$"):
        world.flash()
    assert world.done == ["stack", "Copy"]


def test_a_boot_loader_that_does_not_take_the_image():
    world = World(taken_s=NEVER)
    with pytest.raises(
        FlashError,
        match=r"has not taken the image: its drive is still there",
    ):
        world.flash()


def test_an_image_that_does_not_start():
    world = World(back_s=NEVER)

    def look() -> Seen:
        seen = World.look(world)
        if world.image == NEW and world.now > world.since + 5:  # its watchdog gives up
            return replace(seen, found=(*seen.found, world.drive))
        return seen

    world.look = look  # type: ignore[method-assign]
    with pytest.raises(FlashError, match="in its boot loader again: it cannot start"):
        world.flash()
    assert world.now < world.since + LIMITS.back


def test_a_board_that_does_not_come_back():
    world = World(back_s=NEVER)
    with pytest.raises(FlashError, match="was written, but after 30 s the board has not come"):
        world.flash()


def test_a_board_that_does_not_answer():
    world = World(answer_s=NEVER)
    with pytest.raises(FlashError, match=r"the board does not answer: it is still starting$"):
        world.flash()


def test_an_image_without_a_known_hash_has_to_answer_at_least():
    machine = Machine(Job(RP2, None), print)
    world = World()
    event: Event = world.look()
    while not isinstance(action := machine.step(event, world.now), Done):
        event = world.carry_out(action)
    assert action.text.startswith("image new runs; there is no commands.json")
    assert "Ask" in world.done


def test_a_board_without_an_answer_to_sys_info_is_asked_by_the_repl():
    world = World(has_stack=False)
    assert world.flash() == "image new runs"
    assert world.done[-1] == "Ask by the REPL"
    assert world.done.count("Ask by the REPL") == 1
    assert world.now > LIMITS.answer


@pytest.mark.parametrize(("image", "text"), [(OLD, "image old"), (None, "an image without")])
def test_the_wrong_image_runs(image, text):
    with pytest.raises(FlashError, match=f"the board runs {text}.*, not new, which was written"):
        World(becomes=image).flash()


TIMES = st.sampled_from([0.0, 0.5, 5.0, 20.0, 50.0, NEVER])
ERRORS = st.sampled_from(["", "", "", "it broke"])
WAYS = st.lists(st.sampled_from(["stack", "repl", "touch"]), unique=True).map(tuple)


@given(
    st.builds(
        World,
        runs=st.booleans(),
        plugged_s=TIMES,
        others=st.lists(st.sampled_from([OTHER, OTHER_DRIVE, RP2350, EMULATED]), unique=True),
        works=WAYS,
        lies=WAYS,
        drive_s=TIMES,
        is_mounted=st.booleans(),
        mount_error=ERRORS,
        has_picotool=st.booleans(),
        copy_error=ERRORS,
        taken_s=TIMES,
        back_s=TIMES,
        answer_s=TIMES,
        has_stack=st.booleans(),
        becomes=st.sampled_from([NEW, NEW, OLD, None]),
    ),
    st.sampled_from([{}, {"port": PORT.port}, {"serial": PORT.serial}]),
)
def test_success_means_that_the_new_image_runs(world, name):
    world = replace(world, others=list(world.others), lines=[], done=[])
    total = 2 * LIMITS.hold + 5 * LIMITS.drive + LIMITS.gone + LIMITS.back + 10
    try:
        text = world.flash(**name)
    except MoatError as exc:
        assert "\n" not in str(exc)  # noqa: PT017 -- it may fail, or not
    else:
        assert text == "image new runs"
        assert world.runs
        assert world.image == NEW
    assert world.now <= total
