"""What `make demo` shows comes from the device: change the device, and it shows something else."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = EXAMPLES / "demo.py"


def start(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the demo without a terminal."""
    return subprocess.run(
        [sys.executable, DEMO, *args], env={**os.environ, **env},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def run(*args: str | Path) -> str:
    """Run the demo, which succeeds; returns what it shows."""
    done = start(*args)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def values(shown: str) -> list[float]:
    """The values of the stream."""
    return [float(v) for v in re.findall(r"^ *(-?\d+\.\d) ", shown, re.MULTILINE)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the device's files."""
    return shutil.copytree(EXAMPLES / "demo_device", tmp_path / "device")


def change(file: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts in a file, each of which has to be there."""
    text = file.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def test_shows_tree_calls_stream_console_and_error() -> None:
    shown = run()
    assert re.search(r"── room\n.*── about\n.*── heat\n.*── temperature ~\n", shown)
    assert re.search(r"MicroPython \d+\.\d+\.\d+, \d+ bytes free", shown)
    assert len(values(shown)) == 36
    assert f"the highest was {max(values(shown))} °C" in shown
    assert "device prints │ heater: 90 %" in shown
    assert "device prints │ main.py runs, 0 s" in shown
    assert "ValueError: the heater takes 0 to 100 percent, not 150" in shown


def test_bars_grow_with_the_values() -> None:
    lines = re.findall(r"^ *(-?\d+\.\d) °C (█*)", run(), re.MULTILINE)
    lengths = [len(bar) for _value, bar in sorted(lines, key=lambda x: float(x[0]))]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_a_changed_app_gives_other_output(folder: Path) -> None:
    change(
        folder / "app" / "room.py",
        ('"room"', '"cellar"'),
        ("°C", "°F"),
        ("OUTSIDE = 12.0", "OUTSIDE = 40.0"),
        ("self.temp = 17.0", "self.temp = 50.0"),
        ("ValueError(f", "KeyError(f"),
        ("the heater takes 0 to 100 percent", "no heater goes to [x]"),
        ('print(f"heater: ', 'print(f"oven: '),
        ("    async def cmd_about", "    async def cmd_shut(self): ...\n    async def cmd_about"),
    )
    shown = run(folder)
    assert "'name': 'cellar'" in shown
    assert re.search(r"── heat\n.*── shut\n.*── temperature ~\n", shown)
    assert min(values(shown)) > 40
    assert f"the highest was {max(values(shown))} °F" in shown
    assert "device prints │ oven: 90 %" in shown
    assert "KeyError: 'no heater goes to [x], not 150'" in shown
    assert "°C" not in shown
    assert "heater: " not in shown.replace("'heater': ", "")


def test_a_device_without_the_program_and_with_another_app(folder: Path) -> None:
    (folder / "main.py").unlink()
    (folder / "app" / "lamp.py").write_text(
        "from moat.micro.cmd.tree import BaseCmd\n"
        "class App(BaseCmd):\n"
        "    async def stream_colours(self, out): ...\n"
    )
    shown = run(folder)
    assert re.search(r"── lamp\n.*── colours ~\n", shown)
    assert "main.py" not in shown


def test_a_missing_app_is_one_line(folder: Path) -> None:
    (folder / "app" / "room.py").unlink()
    done = start(folder)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: no 'room'")
    assert done.stderr.count("\n") == 1


def test_a_missing_image_is_one_line(tmp_path: Path) -> None:
    done = start(MOAT_BUILD=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "demo: the image of unix is not built; run: make BOARD=unix build\n"
    assert done.stdout == ""


def test_on_a_terminal_it_is_coloured() -> None:
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen([sys.executable, DEMO], stdin=slave, stdout=slave, env=env) as process:
        os.close(slave)
        shown = b""
        try:
            while chunk := os.read(master, 4096):
                shown += chunk
        except OSError:  # EIO: the other end is closed
            pass
        finally:
            os.close(master)
    assert process.returncode == 0
    text = shown.decode()
    assert re.search(r"\x1b\[33mdevice prints │ heater: 90 %\x1b\[0m", text)
    assert len(values(re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", ""))) == 36
