"""moat-sat as a user meets it: results on stdout, one line on stderr for an error."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.system.support import probe, write_files

SLOW = """
import asyncio
async def main():
    try:
        print("waiting")
        await asyncio.sleep(1000)
    finally:
        open("cleaned_up", "w").close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path, probe())
    return tmp_path


def command(*args: str, device: str | None = "emu:unix") -> list[str]:
    options = ["-d", device] if device else []
    main = "from moat.micro.cli.main import main; main(prog_name='moat-sat')"
    return [sys.executable, "-c", main, *options, *args]


def moat_sat(
    folder: Path, *args: str, device: str | None = "emu:unix"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args, device=device), cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_call_prints_json(folder: Path):
    done = moat_sat(folder, "call", "sys.ping", "m=[1, 2.5, null]")
    assert (done.returncode, json.loads(done.stdout)) == (0, [1, 2.5, None])


def test_a_call_takes_positions_names_and_texts(folder: Path):
    assert json.loads(moat_sat(folder, "call", "probe.add", "1", "b=5").stdout) == 6
    assert json.loads(moat_sat(folder, "call", "sys.ping", "some text").stdout) == "some text"


def test_a_call_of_a_stream_prints_its_values(folder: Path):
    done = moat_sat(folder, "call", "probe.count", "3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n1\n2\n", "")


def test_ls_shows_the_tree(folder: Path):
    done = moat_sat(folder, "ls")
    assert done.returncode == 0
    for name in ("probe", "lamps", "add", "sys", "ping", "run"):
        assert f"─ {name}\n" in done.stdout


def test_ls_l_tells_what_commands_do(folder: Path):
    done = moat_sat(folder, "ls", "-l", "sys")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [re.split("  +", line.strip()) for line in done.stdout.splitlines()]
    assert ["ping", "m=None", "Return `m`."] in rows
    assert ["log ~", "level='info'"] in [row[:2] for row in rows]


def test_ls_l_shows_sub_levels_and_says_what_it_does_not_know(folder: Path):
    (folder / "app/bad.py").write_text("1 / 0\n")
    done = moat_sat(folder, "ls", "-l")
    assert done.returncode == 0
    rows = [re.split("  +", line.strip()) for line in done.stdout.splitlines()]
    assert ["sys.ping", "m=None", "Return `m`."] in rows
    assert ["sys", "About the device itself."] in rows
    assert ["probe.count ~", "?"] in rows
    assert ["probe.lamps.1.number", "?"] in rows
    assert any("ZeroDivisionError" in row[-1] for row in rows if row[0] == "bad")
    assert "(app.probe:App): its source is not frozen" in done.stderr


def test_ls_shows_one_command(folder: Path):
    assert moat_sat(folder, "ls", "probe.add").stdout == "probe\n└── add\n"
    assert moat_sat(folder, "ls", "probe.count").stdout == "probe\n└── count ~\n"
    assert "ping   m=None       Return `m`." in moat_sat(folder, "ls", "-l", "sys.ping").stdout


def test_ls_shows_links(folder: Path):
    assert "─ host ->\n" in moat_sat(folder, "ls").stdout
    assert re.search("host -> +A link to another device", moat_sat(folder, "ls", "-l").stdout)


def test_help_has_all_that_is_to_say(folder: Path):
    done = moat_sat(folder, "trace", "--help", device=None)
    assert "Show how long" in done.stdout
    assert "the command runs as often as -n says" in done.stdout


def test_info_is_a_table(folder: Path):
    done = moat_sat(folder, "info")
    assert (done.returncode, done.stderr) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert rows["platform"].strip() == "linux"
    assert int(rows["mem_free"].replace(",", "")) > 50_000


@pytest.mark.parametrize("options", [[], ["--hard"]])
def test_reset_waits_for_the_reply(folder: Path, options: list[str]):
    done = moat_sat(folder, "reset", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_log_shows_records_as_they_come(folder: Path):
    (folder / "main.py").write_text("from moat.micro import log\nlog.warning('hot: %d', 3)\n")
    with subprocess.Popen(
        command("log", "--level", "warning"), cwd=folder, stdout=PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        line = process.stdout.readline()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d warning: hot: 3\n", line)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait() == 130


def test_run_shows_what_a_program_prints(folder: Path):
    (folder / "p.py").write_text("async def main():\n    print('hello')\n")
    done = moat_sat(folder, "run", "p.py")
    assert (done.returncode, done.stderr) == (0, "hello\n")


@pytest.mark.parametrize(
    ("args", "device", "says"),
    [
        (["call", "probe.ad"], "emu:unix", "no 'ad' in 'probe'; there is: add"),
        (["call", "probe.add"], "emu:unix", "see `moat-sat ls -l probe.add`"),
        (["call", "probe"], "emu:unix", "'probe' is a level, not a command"),
        (["call", "probe.cout", "3"], "emu:unix", "no 'cout' in 'probe'; there is: count ~, "),
        (["ls", "prob"], "emu:unix", "no 'prob'; there is: probe, "),
        (["ls", "-l", "probe.lamp"], "emu:unix", "no 'lamp' in 'probe'; there is: lamps"),
        (["ls", "probe.ad"], "emu:unix", "no 'ad' in 'probe'; there is: "),
        (["ls"], "emu:nix", "unknown board 'nix'; there are: "),
        (["ls"], "nonsense", "names no device: use emu:BOARD"),
        (["ls"], "/dev/nowhere", "/dev/nowhere: No such file or directory"),
        (["ls"], "process:sh -c 'echo one >&2; echo two >&2; exit 5'", "status 5: one; two"),
        (["ls"], None, "name it with -d"),
        (["--stack", "5", "ls"], "emu:unix", "'5' is no JSON object, such as {"),
        (["--stack", "{", "ls"], "emu:unix", "'{' is no JSON: "),
        (["reset", "--bootloader"], "emu:unix", "no boot loader"),
        (["reset", "--bootloader", "--hard"], "emu:unix", "which one?"),
    ],
)
def test_an_error_is_one_line(folder: Path, args: list[str], device: str | None, says: str):
    done = moat_sat(folder, *args, device=device)
    assert done.returncode == 1
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("moat-sat: ")


def test_a_timeout_is_more_than_nothing(folder: Path):
    done = moat_sat(folder, "--timeout", "0", "ls")
    assert done.returncode == 2
    assert "0.0 is not in the range x>0" in done.stderr


def test_a_program_that_fails_gives_its_traceback_and_one_line(folder: Path):
    (folder / "p.py").write_text("1 / 0\n")
    done = moat_sat(folder, "run", "p.py")
    assert done.returncode == 1
    assert 'File "p.py", line 1' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("moat-sat: ZeroDivisionError")


def test_ctrl_c_stops_the_program_on_the_device(folder: Path):
    (folder / "slow.py").write_text(SLOW)
    with subprocess.Popen(
        command("run", "slow.py"), cwd=folder, stderr=PIPE, text=True, bufsize=1,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr
        assert process.stderr.readline() == "waiting\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes there
        assert process.wait() == 130
        assert process.stderr.read() == ""
    assert (folder / "cleaned_up").exists()


def test_ctrl_c_in_a_call_leaves_nothing_behind(folder: Path):
    """The fixture nothing_left looks after the emulator; here it has a call that never ends."""
    (folder / "slow.py").write_text(SLOW.replace('open("cleaned_up", "w").close()', "pass"))
    with subprocess.Popen(
        command("run", "slow.py", device="emu:qemu-arm"), cwd=folder, stderr=PIPE, text=True,
        bufsize=1, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr
        assert process.stderr.readline() == "waiting\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait() == 130


def test_an_emulator_ends_when_its_host_is_killed(adopt: None):
    host = """
import os, signal, sys
import anyio
from moat.micro.device import connect
from moat.micro.target import link_to

async def main():
    link = link_to("emu:qemu-arm")
    async with connect(link) as dev:
        await dev.sys.ping()
        print(link.process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", host], stdout=PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    os.waitpid(int(done.stdout), 0)  # it is ours now, and ends
