"""Settings that hold for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Below build/, like everything that a tool leaves behind.
_BUILD = Path(__file__).parents[1] / "build"
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(_BUILD / "hypothesis"))

# Not the user's own: what a test puts there is not for another one to find.
os.environ["XDG_CACHE_HOME"] = str(_BUILD / "cache")

# No deadline: a slow machine is not a failure. In CI a run must be repeatable.
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, print_blob=True, max_examples=200
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """In CI, shuffle the tests in the same way each time; elsewhere the header tells the seed."""
    if os.environ.get("CI") and config.getoption("randomly_seed", None) == "default":
        config.option.randomly_seed = 1
