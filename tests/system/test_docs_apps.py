"""The example of docs/apps.md, run as it stands there."""

import json
import subprocess
import sys
from pathlib import Path

from msgpack import packb

from tools.docs import block, blocks

APPS = Path(__file__).parents[2] / "docs" / "apps.md"


def test_a_button_that_is_pressed(tmp_path: Path) -> None:
    (tmp_path / "moat.cfg").write_bytes(packb(json.loads(block(APPS, "config"))))
    done = subprocess.run(
        [sys.executable, "-c", block(APPS, "press.py")],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lamp, light = done.stdout.splitlines()
    assert lamp.startswith("lamp: 1 {")
    assert "'level': 1" in lamp
    assert light == f"light: {0x8008}"


def test_every_example_is_run_here() -> None:
    assert len(blocks(APPS)) == 2
