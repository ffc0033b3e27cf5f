"""The examples of README.md and docs/guide.md, run as they stand there."""

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest

from moat.micro.boards import load
from tools.docs import block, blocks

ROOT = Path(__file__).parents[2]
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "guide.md"
COMMANDS = ROOT / "docs" / "commands.md"
DEMO_DEVICE = ROOT / "examples" / "demo_device"
MOAT_SAT = Path(sys.executable).parent / "moat-sat"


def run(*command: str | Path, cwd: Path) -> tuple[str, str]:
    """Run a command that succeeds; returns its stdout and stderr."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


def call(folder: Path, path: str) -> object:
    """Start a device with these files and call one of its commands."""
    return json.loads(run(MOAT_SAT, "-d", "unix", "call", path, cwd=folder)[0])


def write(folder: Path, name: str, code: str) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(code)
    return file


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    """A device with the guide's app."""
    write(tmp_path, "app/counter.py", block(GUIDE, "app/counter.py"))
    return tmp_path


def test_readme_ten_lines() -> None:
    code = block(README, "ten lines")
    assert len([line for line in code.splitlines() if line]) <= 10
    about, *values = run(sys.executable, "-c", code, cwd=DEMO_DEVICE)[0].splitlines()
    assert "'name': 'room'" in about
    assert len(values) == 5
    assert sorted(values) == values  # 50 percent: it gets warmer


def test_readme_shell() -> None:
    session = block(README, "shell")
    commands = re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE)
    assert len(commands) == session.count("$ moat-sat")
    for command, expected in commands:
        name, *args = shlex.split(command)
        assert name == "moat-sat"
        assert run(MOAT_SAT, *args, cwd=DEMO_DEVICE)[0] == expected, command


def test_every_example_is_run_here() -> None:
    assert len(blocks(README)) == 2
    assert len(blocks(GUIDE)) == 10
    assert len(blocks(COMMANDS)) == 6
    others = len(blocks(COMMANDS, "example"))  # tests/unit/test_docs_model.py
    for file, n in ((README, 2), (GUIDE, 10), (COMMANDS, 6 + others)):
        assert len(re.findall(r"^```\w", file.read_text(), re.MULTILINE)) == n


def test_guide_app_and_its_caller(counter: Path) -> None:
    shown = run(sys.executable, "-c", block(GUIDE, "counter"), cwd=counter)[0].split("\n")
    assert shown[0] == "first 0"
    # A value that was overtaken by the next one need not be seen.
    assert set(shown[1:-2]) <= {"then 1", "then 3"}
    assert shown[-2:] == ["reached", ""]


def test_guide_without_async(counter: Path) -> None:
    shown = run(sys.executable, "-c", block(GUIDE, "sync"), cwd=counter)[0]
    assert shown == "2\n2\n[] reached\n"


def test_guide_the_device_calls_the_host(tmp_path: Path) -> None:
    write(tmp_path, "app/door.py", block(GUIDE, "app/door.py"))
    shown = run(sys.executable, "-c", block(GUIDE, "door"), cwd=tmp_path)[0]
    assert shown == "open closed\n"


def test_guide_async_main(tmp_path: Path) -> None:
    write(tmp_path, "main.py", block(GUIDE, "async main.py"))
    stdout, stderr = run(MOAT_SAT, "-d", "unix", "call", "sys.ping", "1", cwd=tmp_path)
    assert stdout == "1\n"
    assert "still here 0\n" in stderr


def test_guide_main_that_starts_the_stack(tmp_path: Path) -> None:
    write(tmp_path, "main.py", block(GUIDE, "main.py that starts the stack"))
    ticks = call(tmp_path, "ticks.get")
    assert isinstance(ticks, int)
    assert ticks >= 1


def test_guide_program(tmp_path: Path) -> None:
    file = write(tmp_path, "blink.py", block(GUIDE, "blink.py"))
    stdout, stderr = run(MOAT_SAT, "-d", "unix", "run", file, cwd=tmp_path)
    assert stdout == ""
    assert stderr == "top level\nstep 0\nstep 1\nstep 2\n"


def test_guide_server(counter: Path) -> None:
    write(counter, "main.py", block(GUIDE, "main.py with a server"))
    image = load("unix").image_path
    with subprocess.Popen([image], cwd=counter, stdin=PIPE, stdout=DEVNULL) as device:
        try:
            for _ in range(500):
                if (counter / "counter.sock").exists():
                    break
                time.sleep(0.01)
            moat_sat = [MOAT_SAT, "-d", "unix:counter.sock"]
            assert run(*moat_sat, "call", "counter.add", "2", cwd=counter)[0] == "2\n"
            assert run(*moat_sat, "call", "counter.add", cwd=counter)[0] == "3\n"
        finally:
            device.kill()


def test_commands_apps_and_their_config(tmp_path: Path) -> None:
    write(tmp_path, "app/blinker.py", block(COMMANDS, "app/blinker.py"))
    cfg = block(COMMANDS, "config")
    moat_sat = [MOAT_SAT, "-d", "unix"]
    run(*moat_sat, "cfg", "", cfg, cwd=tmp_path)
    shown, stderr = run(*moat_sat, "call", "rdy_", "wait=true", cwd=tmp_path)
    assert json.loads(shown) == {"state": "ready"}
    for pin in (2, 4, 5, 6):
        assert f"pin {pin} is ours\n" in stderr
    for path in ("status", "lamps.1", "garden.pump"):
        assert call(tmp_path, path + ".get") in (True, False)
    assert json.loads(run(*moat_sat, "cfg", cwd=tmp_path)[0]) == json.loads(cfg)


def test_commands_devices_behind_devices(tmp_path: Path) -> None:
    for name in ("barn", "house"):
        (tmp_path / name).mkdir()
        cfg = block(COMMANDS, name)
        run(MOAT_SAT, "-d", "unix", "cfg", "", cfg, cwd=tmp_path / name)
    code = block(COMMANDS, "house.py")
    assert run(sys.executable, "-c", code, cwd=tmp_path)[0] == "hello\n2 hops\n"


def test_guide_pytest(counter: Path) -> None:
    write(counter, "main.py", block(GUIDE, "async main.py"))
    write(counter, "test_counter.py", block(GUIDE, "test_counter.py"))
    pytest_run = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--target", "unix"]
    assert "6 passed" in run(*pytest_run, "-p", "no:cacheprovider", cwd=counter)[0]
    app = counter / "app" / "counter.py"
    app.write_text(app.read_text().replace("self.value += n", "self.value += 3 * n"))
    done = subprocess.run(
        pytest_run, cwd=counter, capture_output=True, text=True, timeout=100, check=False
    )
    assert "2 failed, 4 passed" in done.stdout
