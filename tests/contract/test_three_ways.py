"""How tests/both collects tests and reports their failures."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("MOAT_BUILD") or ROOT / "build").resolve()

SAMPLE = '''
"""Tests that end in every way."""
import sys
from moat.micro import rt
from moat.micro.const import const

DEVICE = sys.implementation.name == "micropython"
DEVICE_ONLY = ("test_device",)
HOST_ONLY = ["test_host"]
helper = const(1)

def test_passes():
    print("quiet")

async def test_async():
    await rt.sleep_ms(1)

def test_device():
    assert DEVICE
    assert rt.__file__ == "moat/micro/rt.py", rt.__file__  # the frozen one

def test_host():
    assert not DEVICE

def test_fails():
    print("what was printed", end="")
    assert helper == 2

async def test_raises_in_rt():
    async with rt.timeout_ms(1):
        await rt.sleep_ms(5000)

def test_crashes():
    print("last words")
    if DEVICE:
        import os
        os.system("kill -SEGV $PPID")
    raise AssertionError("the process lives")

def test_after_the_crash():
    pass

async def test_deadlocks():
    await rt.Event().wait()

def test_loops():
    while DEVICE:
        pass

async def test_hangs():
    await rt.sleep_ms(100000)

async def test_leaves_a_failed_task():
    if DEVICE:
        import asyncio
        async def bad():
            raise ValueError("nobody waits for me")
        asyncio.create_task(bad())
        await rt.sleep_ms(5)

def test_exits():
    sys.exit(1)

def test_at_the_end():
    assert sys.path[2] == ".frozen" if DEVICE else True
    assert not DEVICE or "firmware" not in "".join(sys.path)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like tests/both, with the sample in it."""
    both = tmp_path_factory.mktemp("project") / "tests" / "both"
    both.mkdir(parents=True)
    for name in ("conftest.py", "_runner.py"):
        shutil.copy(ROOT / "tests" / "both" / name, both)
    (both / "test_sample.py").write_text(SAMPLE)
    return both


def collect(folder: Path, *args: str, build: Path = BUILD) -> str:
    """Run pytest there; return what it prints."""
    env = {**os.environ, "MOAT_BUILD": str(build), "MOAT_TEST_LIMIT": "1"}
    env.pop("PYTEST_ADDOPTS", None)
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # half the time is theirs
    cmd = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", folder]
    cmd += ["-p", "anyio", "-o", "anyio_mode=auto", "-p", "no:cacheprovider"]
    cmd += ["--import-mode=importlib", "-rA", *args]
    res = subprocess.run(cmd, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return res.stdout


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    """What pytest prints for all of the sample's tests."""
    if not (BUILD / "unix" / "micropython").exists():
        pytest.fail("run: make BOARD=unix build", pytrace=False)
    return collect(folder)


def outcome(output: str, test: str, side: str) -> str:
    """PASSED, FAILED or nothing."""
    for line in output.splitlines():
        if f"::{test}[{side}]" in line and line.startswith(("PASSED", "FAILED")):
            return line.split()[0]
    return ""


def section(output: str, test: str) -> str:
    """The report of a test that failed on MicroPython."""
    _, _, rest = output.partition(f" {test}[micropython] _")
    return rest.partition("\n____")[0]


@pytest.mark.parametrize(
    ("test", "expected"),
    {
        "test_passes": "PASSED PASSED PASSED",
        "test_async": "PASSED PASSED PASSED",
        "test_device": " PASSED",
        "test_host": "PASSED PASSED ",
        "test_fails": "FAILED FAILED FAILED",
        "test_raises_in_rt": "FAILED FAILED FAILED",
        "test_crashes": "FAILED FAILED FAILED",
        "test_after_the_crash": "PASSED PASSED PASSED",
        "test_deadlocks": "FAILED FAILED FAILED",
        "test_loops": "PASSED PASSED FAILED",
        "test_hangs": "FAILED FAILED FAILED",
        "test_leaves_a_failed_task": "PASSED PASSED FAILED",
        "test_exits": "FAILED FAILED FAILED",
        "test_at_the_end": "PASSED PASSED PASSED",
    }.items(),
)
def test_outcome_on_the_three_sides(output: str, test: str, expected: str) -> None:
    got = " ".join(outcome(output, test, side) for side in ("asyncio", "trio", "micropython"))
    assert got.strip() == expected.strip()


def test_failure_shows_traceback_source_and_what_was_printed(output: str) -> None:
    text = section(output, "test_fails")
    assert "in test_fails\n    assert helper == 2\nAssertionError" in text
    assert "what was printed" in text


def test_failure_in_frozen_code_shows_where(output: str) -> None:
    text = section(output, "test_raises_in_rt")
    assert 'File "moat/micro/rt.py", line' in text
    assert "TimeoutError: not done within 1 ms" in text


def test_crash_is_reported_with_its_signal(output: str) -> None:
    text = section(output, "test_crashes")
    assert "the process ended with signal SIGSEGV" in text
    assert "last words" in text


def test_hang_is_interrupted_and_shows_where(output: str) -> None:
    text = section(output, "test_loops")
    assert "not done within 1 s" in text
    assert "in test_loops\n    " in text
    assert "KeyboardInterrupt" in text


def test_deadlock_is_told(output: str) -> None:
    text = section(output, "test_deadlocks")
    assert "deadlock" in text or "not done within" in text  # as rt.run says


def test_failure_of_a_task_in_the_background_counts(output: str) -> None:
    assert "ValueError: nobody waits for me" in section(output, "test_leaves_a_failed_task")


def test_single_tests_can_be_chosen(folder: Path) -> None:
    text = collect(
        folder, "test_sample.py::test_async[micropython]", "test_sample.py::test_passes", "-q"
    )
    assert "4 passed" in text
    text = collect(folder, "-k", "crash and micropython", "-q")
    assert outcome(text, "test_after_the_crash", "micropython") == "PASSED"
    assert "1 failed, 1 passed" in text


def test_missing_image_is_a_failure_with_its_remedy(folder: Path, tmp_path: Path) -> None:
    text = collect(folder, "-k", "passes", build=tmp_path)
    assert "run: make BOARD=unix build" in section(text, "test_passes")
    assert "1 failed, 2 passed" in text


def test_module_that_does_not_compile_fails_on_micropython(folder: Path) -> None:
    (folder / "test_bad.py").write_text("async def test_a():\n    [await x for x in []]\n")
    try:
        text = collect(folder, "test_bad.py")
    finally:
        (folder / "test_bad.py").unlink()
    assert "SyntaxError: 'await' outside function" in section(text, "test_a")
