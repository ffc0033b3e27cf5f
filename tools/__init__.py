"""What the Makefile runs: sources, packages, images. All but the tables need no package."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one shall read this
    sys.exit("error: Python 3.11 or newer is needed; name it: make PYTHON=python3.11 …")

# They start before there is a virtual environment; moat.micro.boards needs nothing of it.
sys.path.append(str(Path(__file__).resolve().parent.parent / "host"))
