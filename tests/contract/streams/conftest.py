"""Collects these tests as tests/both does: each on asyncio, on trio and on MicroPython."""

import sys
from pathlib import Path

from tests.both.conftest import pytest_pycollect_makeitem

__all__ = ["pytest_pycollect_makeitem"]

sys.path.append(str(Path(__file__).parent))  # so that _suite can be imported as on MicroPython
