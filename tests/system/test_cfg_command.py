"""moat-sat cfg as a user meets it, on the unix image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgpack import packb, unpackb

from tests.system.support import probe, write_files
from tests.system.test_command_line import command, moat_sat

CFG = {"apps": {"p": "app.probe:App"}, "wifi": {"ssid": "home", "password": "hunter2"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path, probe())
    (tmp_path / "moat.cfg").write_bytes(packb(CFG))
    return tmp_path


def stored(folder: Path) -> object:
    """What the device has in its file."""
    return unpackb((folder / "moat.cfg").read_bytes())


def test_it_shows_all_or_a_part(folder: Path):
    done = moat_sat(folder, "cfg")
    assert json.loads(done.stdout) == {**CFG, "wifi": {"ssid": "home", "password": "***"}}
    assert done.stderr == ""
    assert moat_sat(folder, "cfg", "wifi.ssid").stdout == '"home"\n'
    assert moat_sat(folder, "cfg", "wifi.password").stdout == '"***"\n'


def test_it_sets_and_deletes(folder: Path):
    assert moat_sat(folder, "cfg", "wifi.channels", "[1, 6]").returncode == 0
    assert moat_sat(folder, "cfg", "wifi.channels.0", "-5").returncode == 0
    assert moat_sat(folder, "cfg", "wifi.ssid", "--delete").returncode == 0
    assert moat_sat(folder, "cfg", "wifi.password", "new one").returncode == 0
    wifi = {"password": "new one", "channels": [-5, 6]}
    assert stored(folder) == {"apps": CFG["apps"], "wifi": wifi}


def test_the_first_config_of_a_device_takes_effect_at_its_next_start(folder: Path):
    (folder / "moat.cfg").unlink()
    done = moat_sat(folder, "cfg", "apps.p", "app.probe:App")
    assert (done.returncode, done.stdout) == (0, "")
    assert "it takes effect at the next start" in done.stderr
    assert moat_sat(folder, "call", "p.add", "1").stdout == "2\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["wifi.sid"], "no 'sid' in 'wifi'; there is: "),
        (["wifi..ssid"], "an item is empty"),
        (["apps.p", "nonsense"], "p: 'nonsense' is no class"),
        (["apps.sys", "m:A"], "'sys' cannot be the name of an app"),
        (["", "5"], "the config is a map"),
        (["", "--delete"], "the path is empty"),
        (["wifi.password.x", "5"], "'password' is a secret"),
        (["wifi", '{"ssid": home}'], "is no JSON: "),
        (["wifi.ssid", "x", "--delete"], "one of VALUE, --delete and --edit"),
    ],
)
def test_an_error_is_one_line_and_changes_nothing(folder: Path, args: list[str], says: str):
    done = moat_sat(folder, "cfg", *args)
    assert done.returncode == 1
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert stored(folder) == CFG


def edit(folder: Path, *args: str, python: str) -> subprocess.CompletedProcess[str]:
    """Run cfg --edit with an editor that runs `python` on the text."""
    script = folder / "editor.py"
    script.write_text(
        "import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\ntext = file.read_text()\n"
        f"{python}\nfile.write_text(text)\n"
    )
    env = {**os.environ, "VISUAL": f"{sys.executable} {script}"}
    return subprocess.run(
        command("cfg", "--edit", *args), cwd=folder, capture_output=True, text=True, check=False,
        env=env,
    )  # fmt: skip


def test_it_can_be_edited(folder: Path):
    done = edit(folder, "wifi", python="text = text.replace('home', 'work')")
    assert (done.returncode, done.stderr) == (0, "")
    assert stored(folder) == {**CFG, "wifi": {"ssid": "work", "password": "hunter2"}}


def test_an_edited_text_that_is_no_json_changes_nothing(folder: Path):
    done = edit(folder, python="text = text[1:]")
    assert done.returncode == 1
    assert "this is no JSON" in done.stderr
    assert stored(folder) == CFG
    kept = Path(done.stderr.rstrip().rsplit(" ", 1)[1])
    assert kept.read_text().startswith("\n  ")
    kept.unlink()


def test_an_editor_that_fails_is_one_line(folder: Path):
    done = edit(folder, python="sys.exit(3)")
    assert done.returncode == 1
    assert re.fullmatch("moat-sat: .*Editing failed\n", done.stderr)
    assert stored(folder) == CFG


def test_it_tells_of_apps_that_fail_with_the_new_config(folder: Path):
    assert moat_sat(folder, "cfg", "q.restart.essential", "false").stderr == ""
    done = moat_sat(folder, "cfg", "apps.q", "app.nix:App")
    assert done.returncode == 0
    assert "saved; but q: ImportError: no module named 'app.nix'\n" in done.stderr


def test_it_tells_when_the_new_config_leads_to_safe_mode(folder: Path):
    done = moat_sat(folder, "cfg", "apps.q", "app.nix:App")
    assert done.returncode == 0
    assert "saved; but the device is in safe mode now: the app 'q' has failed: " in done.stderr
    done = moat_sat(folder, "call", "p.add", "1")
    assert done.returncode == 1
    assert "no 'p'; there is: " in done.stderr
    assert "; safe mode: the app 'q' has failed: ImportError" in done.stderr
