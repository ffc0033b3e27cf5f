"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ("pytester",)

TEST = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_ping(device):
    assert await device.sys.ping(m=7) == 7
"""


@pytest.fixture
def run(pytester: pytest.Pytester):
    def run(source: str, *args: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:randomly", *args)

    return run


def test_the_default_target_is_the_unix_image(run):
    result = run(TEST, "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_ping?unix?*"])


def test_a_test_runs_once_for_each_target(run):
    result = run(TEST, "-v", "--target", "unix", "--target", "emu:qemu-arm")
    result.assert_outcomes(passed=2)


def test_an_image_that_is_missing_says_how_to_build_it(run, monkeypatch, tmp_path):
    monkeypatch.setenv("MOAT_BUILD", str(tmp_path))
    result = run(TEST, "--target", "unix")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*make BOARD=unix build*"])


def test_a_failure_shows_what_the_device_has_printed(run):
    test = TEST.replace("assert await", "await device.run.put(0, b'print(12345 + 1)')\n"
                        "    await device.run.start('p')\n    assert 8 == await")  # fmt: skip
    result = run(test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*12346*"])
