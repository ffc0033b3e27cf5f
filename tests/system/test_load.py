"""What was cancelled or abandoned leaves nothing behind, thousands of times."""

from __future__ import annotations

from pathlib import Path

from moat.micro.testing.console import Console
from tests.system import row
from tests.system.load import ABANDONED, FILES, KINDS, Load, root
from tests.system.support import is_process, started

MANY, SOME = 10_000, 1_000  # an emulated board takes its time
WARM_UP = 500  # all ids of calls have been used, all tables have grown


async def test_what_is_abandoned_leaves_no_entry_and_no_memory(
    target: str, device_folder: Path, console: Console
) -> None:
    async with started(target, device_folder, console, FILES, root()) as dev:
        load = Load(dev)
        await load.run(ABANDONED, WARM_UP)
        await load.settled()
        before = await load.left()
        if is_process(target):
            await load.run(ABANDONED, MANY)
            await load.settled()
        else:  # there, other than on a PC, no garbage is taken for something else
            assert await load.growth(ABANDONED, SOME) == 0
        assert await load.left() == before
        assert not dev._cmd.core.calls


async def test_all_kinds_of_calls_and_streams_go_through_a_link_app(tmp_path: Path) -> None:
    async with row.two(tmp_path, FILES, root()) as dev:
        load = Load(dev, ("next",))
        await load.run(KINDS, WARM_UP)
        await load.settled()
        before = await load.left()
        await load.run(KINDS, SOME)
        await load.settled()
        assert await load.left() == before
        assert set(load.count) == set(KINDS)
        assert await load.missed() == 0
