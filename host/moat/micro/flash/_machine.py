"""The steps of flashing a UF2 image, without any I/O and without a clock.

`Machine.step` gets what came of the last action, and the time; it returns the next action, or
raises FlashError when it makes no sense to go on. The course of things:

    look -> tell the program to enter the boot loader, in one way after the other
         -> or ask for BOOTSEL, and wait
    drive is there -> check that it is of this board -> copy -> it has to go
    board is back -> ask for the hash of its image, which has to be the one that was built
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moat.micro.discovery import DiscoveryError, Found, NoBoardError, check_access, choose
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
    FlashError,
    Job,
    Look,
    Mount,
    Mounted,
    Seen,
    WrongBoardError,
)

__all__ = ("Machine",)


class Machine:
    """Flashing one board.

    Args:
        job: what is to be done.
        say: is called with lines for the user.
    """

    def __init__(self, job: Job, say: Callable[[str], object]) -> None:
        self.job = job
        self.say = say
        self._next: Callable[[Any, float], Action] = self._first
        self._end = 0.0
        self._told: Found | None = None  # has to enter its boot loader
        self._drive: Found | None = None  # was written to
        self._back: Found | None = None  # was asked
        self._asked: float | None = None  # for the first time
        self._serial = ""  # of the board that we deal with, where it is known
        self._others: frozenset[str] = frozenset()  # places of boards that are not ours
        self._only_one = True  # no other board is in its boot loader: picotool takes any
        self._ways = list(job.ways)
        self._why: list[str] = []  # it does not go on
        self._since: float | None = None  # there is a boot loader without a folder, or again
        self._mounted = False

    def step(self, event: Event, now: float) -> Action:
        """Return the next action.

        Args:
            event: what came of the last one; Seen at first.
            now: the time in seconds.

        Raises:
            FlashError: it has failed.
            DiscoveryError: it is not clear which board is meant, or it may not be opened.
        """
        return self._next(event, now)

    # ---- which board

    def _first(self, event: Seen, now: float) -> Action:
        job, found = self.job, list(event.found)
        try:
            one = choose(job.board, found, port=job.port, serial=job.serial)
        except NoBoardError as exc:
            if job.serial or job.port:
                raise
            if event.unmounted or event.by_picotool:
                self.say(f"{job.board.name}: a board is in its boot loader")
                return self._look(self._wait_hold, now + job.limits.hold)
            return self._hold(now, str(exc))
        return self._take(one, event, now)

    def _take(self, one: Found, event: Seen, now: float) -> Action:
        self._serial = one.serial or self.job.serial
        if one.drive:
            return self._copy(one, event)
        check_access(one)
        self._told = one
        self._others = frozenset(other.place for other in event.found) - {one.place}
        self._only_one = not event.by_picotool
        self._mounted = event.unmounted is not None  # that is the drive of another board
        return self._tell(now)

    def _hold(self, now: float, text: str) -> Action:
        self.say(text)
        self.say(f"hold BOOTSEL while you plug the board in (waiting {self.job.limits.hold:g} s)")
        return self._look(self._wait_hold, now + self.job.limits.hold)

    def _wait_hold(self, event: Seen, now: float) -> Action:
        if drives := [one for one in event.found if one.drive and self._is_ours(one)]:
            return self._take(choose(self.job.board, drives), event, now)
        if self._told is None and event.found:
            one = choose(self.job.board, list(event.found))
            return self._take(one, event, now)
        why = "; ".join(["", *self._why])
        return self._without_folder(event, now) or self._again(
            now, f"no board in its boot loader within {self.job.limits.hold:g} s{why}"
        )

    # ---- into the boot loader

    def _tell(self, now: float) -> Action:
        assert self._told
        if not self._ways:
            return self._hold(now, f"{self._told.place} does not enter its boot loader")
        return self._then(self._entered, Enter(self._ways.pop(0), self._told))

    def _entered(self, event: Entered, now: float) -> Action:
        if event.error:
            self._why.append(event.error)
            return self._tell(now)
        return self._look(self._wait_drive, now + self.job.limits.drive)

    def _wait_drive(self, event: Seen, now: float) -> Action:
        assert self._told
        for one in event.found:
            if one.drive and self._is_ours(one):
                return self._copy(one, event)
        if action := self._without_folder(event, now):
            return action
        if now < self._end:
            return Look()
        self._why.append(f"no drive of a boot loader within {self.job.limits.drive:g} s")
        if self._told in event.found:
            return self._tell(now)
        gone = f"{self._told.place} has gone, but no drive of its boot loader has come"
        return self._hold(now, gone)

    def _is_ours(self, one: Found) -> bool:
        """Whether this is the board that we deal with, in another state."""
        known = self._drive or self._told
        if known and known.is_emulated != one.is_emulated:
            return False
        if known and one.is_emulated:
            return one.port == known.port  # many have the same serial number
        if one.serial and self._serial:
            return one.serial == self._serial
        return one.place not in self._others

    def _without_folder(self, event: Seen, now: float) -> Action | None:
        """What is done when there is a boot loader for some time, but no folder."""
        by_picotool = event.by_picotool and self._only_one
        device = None if self._mounted else event.unmounted
        if not by_picotool and not device:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now < self._since + self.job.limits.mount:
            return Look()
        if device:
            self._mounted = True
            return self._then(self._mount_tried, Mount(device))
        return self._then(self._copied, Copy(None))

    def _mount_tried(self, event: Mounted, now: float) -> Action:
        if event.error:
            self._why.append(f"the drive of the boot loader is not mounted: {event.error}")
            self.say(self._why[-1])
        return self._look(self._wait_hold, now + self.job.limits.hold)

    # ---- writing

    def _copy(self, one: Found, event: Seen) -> Action:
        assert one.drive
        board = self.job.board
        if one.drive.board_id != board.usb.drive:
            raise WrongBoardError(
                f"{one.place}: this board is a {one.drive.model} ({one.drive.board_id}), and "
                f"{board.name} is a {board.usb.drive}; nothing was written"
            )
        self._drive = one
        self._others = frozenset(o.place for o in event.found if not o.drive and o != one)
        return self._then(self._copied, Copy(one))

    def _copied(self, event: Copied, now: float) -> Action:
        if event.error:
            raise FlashError(
                f"the image was not written to its end: {event.error}; the board does not run "
                "now, or not the new image: try again"
            )
        return self._look(self._wait_gone, now + self.job.limits.gone)

    def _wait_gone(self, event: Seen, now: float) -> Action:
        if self._has_drive(event):
            within = f"its drive is still there after {self.job.limits.gone:g} s"
            return self._again(now, f"the boot loader has not taken the image: {within}")
        self._why.clear()
        self._since = None
        self._end = now + self.job.limits.back
        return self._wait_back(event, now)

    def _has_drive(self, event: Seen) -> bool:
        """Whether the drive that was written to is there."""
        drive = self._drive
        return drive is not None and any(
            one.drive and one.place == drive.place for one in event.found
        )

    # ---- the new firmware

    def _wait_back(self, event: Seen, now: float) -> Action:
        self._next = self._wait_back
        if not self._has_drive(event):
            self._since = None
        elif self._since is None:
            self._since = now
        elif now >= self._since + self.job.limits.again:
            raise FlashError(
                "the board is in its boot loader again: it cannot start the image that was written"
            )
        back = [one for one in event.found if not one.drive and self._is_ours(one)]
        if back and self._may_open(back[0]):
            self._back = back[0]
            if self._asked is None:
                self._asked = now
            by_repl = now >= self._asked + self.job.limits.answer
            return self._then(self._answered, Ask(back[0], by_repl))
        what = f"does not answer: {self._why[-1]}" if self._why else "has not come back"
        return self._again(
            now, f"the image was written, but after {self.job.limits.back:g} s the board {what}"
        )

    def _may_open(self, one: Found) -> bool:
        """Whether we may; a system grants that some time after the port has come."""
        try:
            check_access(one)
        except DiscoveryError as exc:
            self._why.append(str(exc))
            return False
        return True

    def _answered(self, event: Answered, now: float) -> Action:
        assert self._back
        if event.error:
            self._why.append(event.error)
            if now < self._end:
                return self._then(self._wait_back, Look())
            return self._wait_back(Seen(), now)
        if self.job.image is None:
            what = f"image {event.image}" if event.image else "a program"
            return Done(f"{what} runs; there is no commands.json to compare with", self._back)
        if event.image != self.job.image:
            runs = f"image {event.image}" if event.image else "an image without a hash"
            raise FlashError(f"the board runs {runs}, not {self.job.image}, which was written")
        return Done(f"image {event.image} runs", self._back)

    # ----

    def _then(self, state: Callable[[Any, float], Action], action: Action) -> Action:
        self._next = state
        return action

    def _look(self, state: Callable[[Any, float], Action], end: float) -> Action:
        self._end = end
        return self._then(state, Look())

    def _again(self, now: float, error: str) -> Action:
        if now < self._end:
            return Look()
        raise FlashError(error)
