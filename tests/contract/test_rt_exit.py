"""KeyboardInterrupt and SystemExit leave rt.run at once, on every side, also out of a task."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("MOAT_BUILD") or ROOT / "build").resolve()
IMAGE = BUILD / "unix" / "micropython"

PROGRAM = """
import sys
from moat.micro import rt

where, what, after = sys.argv[1:4]
exc = SystemExit(3) if what == "SystemExit" else KeyboardInterrupt()

async def bad():
    await rt.sleep_ms(1)
    raise exc

event = rt.Event()

async def stuck():
    try:
        await event.wait()
    finally:
        await event.wait()  # only a loop that waits for its tasks hangs here

async def main():
    async with rt.timeout_ms(60000):
        async with rt.TaskGroup() as tg:
            if after == "stuck":
                tg.start_soon(stuck)
            if where == "task":
                tg.start_soon(bad)
            elif where == "nested":
                async with rt.TaskGroup() as inner:
                    inner.start_soon(bad)
            else:
                await bad()

async def again():
    async with rt.timeout_ms(60000):
        async with rt.TaskGroup() as tg:
            tg.start_soon(stuck)
            await rt.sleep_ms(1)
            event.set()
    return "runs again"

try:
    rt.run(main)
except BaseException as e:
    print(type(e).__name__, e.args, rt.run(again))
    raise
"""


def run(program: list[str | Path], *args: str) -> subprocess.CompletedProcess[str]:
    """Run PROGRAM; a hang is an error."""
    env = {**os.environ, "MICROPYPATH": ".frozen"}
    return subprocess.run(
        [*program, *args], env=env, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture(params=["micropython", "cpython"])
def python(request: pytest.FixtureRequest, tmp_path: Path) -> list[str | Path]:
    """The command that runs PROGRAM."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    if request.param == "cpython":
        return [sys.executable, script]
    if not IMAGE.exists():
        pytest.fail("run: make BOARD=unix build", pytrace=False)
    return [IMAGE, script]


@pytest.mark.parametrize("where", ["body", "task", "nested"])
@pytest.mark.parametrize("what", ["SystemExit", "KeyboardInterrupt"])
def test_leaves_the_loop(python: list[str | Path], where: str, what: str) -> None:
    res = run(python, where, what, "alone")
    args = "(3,)" if what == "SystemExit" else "()"
    assert res.stdout == f"{what} {args} runs again\n", res.stderr
    assert res.returncode == 3 if what == "SystemExit" else res.returncode != 0


@pytest.mark.parametrize("python", ["micropython"], indirect=True)
@pytest.mark.parametrize("where", ["body", "task", "nested"])
@pytest.mark.parametrize("what", ["SystemExit", "KeyboardInterrupt"])
def test_waits_for_no_task_on_the_device(python: list[str | Path], where: str, what: str) -> None:
    res = run(python, where, what, "stuck")
    assert res.stdout.startswith(what), res.stderr
