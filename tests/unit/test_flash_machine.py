"""The steps of flashing, in a world with a clock of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.micro.discovery import NoBoardError, SeveralBoardsError
from moat.micro.errors import MoatError
from moat.micro.flash._machine import Machine
from moat.micro.flash._steps import (
    Copied,
    Copy,
    Done,
    Enter,
    Entered,
    Event,
    FlashError,
    Job,
    Seen,
    WrongBoardError,
)
from tests.unit.flash_world import (
    DRIVE,
    EMULATED,
    LIMITS,
    NEVER,
    NEW,
    OLD,
    OTHER,
    OTHER_DRIVE,
    PORT,
    RP2,
    RP2350,
    World,
)


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
