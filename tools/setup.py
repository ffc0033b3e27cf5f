"""Put in place what a board or the project needs: Debian packages, the virtual environment.

    python3 -m tools.setup [BOARD…] [--venv]

Only what is missing is installed, with apt-get, as root or by sudo; MOAT_NO_APT=1 forbids it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from moat.micro.boards import Board, Need, load
from tools.common import ROOT, ToolError, lock, main, run, say

__all__ = ("BASE", "VENV", "ensure", "has", "venv")

VENV = ROOT / "build" / "venv"

# For mpy-cross, whatever the board.
BASE = (Need("gcc", "gcc libc6-dev", "crt1.o"), Need("make", "make"))


def has(need: Need) -> bool:
    """Whether it is there."""
    if not shutil.which(need.tool):
        return False
    if not need.file:
        return True
    # gcc answers with the bare name when it does not know the file.
    return "/" in run([need.tool, f"-print-file-name={need.file}"]).stdout


def ensure(needs: Iterable[Need], what: str) -> None:
    """Install the packages of those needs that are not met; `what` needs them.

    Raises:
        ToolError: one line that names the packages, when they cannot be installed.
    """
    missing = [need for need in dict.fromkeys(needs) if not has(need)]
    if not missing:
        return
    packages = " ".join(dict.fromkeys(need.package for need in missing)).split()
    install(packages, f"{what} needs {', '.join(need.tool for need in missing)}")
    if left := [need.tool for need in missing if not has(need)]:
        raise ToolError(f"{what} needs {', '.join(left)}: still missing after apt-get install")


def install(packages: list[str], why: str) -> None:
    """Install Debian packages.

    Raises:
        ToolError: one line with the reason and the command to type.
    """
    command = f"apt-get install {' '.join(packages)}"
    if os.environ.get("MOAT_NO_APT") or not shutil.which("apt-get"):
        raise ToolError(f"{why}; install it, on Debian with: {command}")
    as_root = _as_root()
    if as_root is None:
        raise ToolError(f"{why}; type: sudo {command}")
    say(f"{why}: {command}")
    with lock(ROOT / "build" / "download" / ".apt-lock"):
        _apt_install(as_root, packages, command)


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    if run(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n"]
    return ["sudo"] if sys.stdin.isatty() else None


def _apt_install(as_root: list[str], packages: list[str], shown: str) -> None:
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C",
           "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600"]  # fmt: skip
    command = [*apt, "--no-install-recommends", "install", *packages]
    if _run(command)[0] == 0:
        return
    # The lists may be missing or outdated.
    updated = _run([*apt, "update"])
    status, output = _run(command)
    if status:
        output = output if updated[0] == 0 else updated[1] + output
        errors = [line for line in output.splitlines() if line.startswith("E:")]
        raise ToolError(f"{shown} failed: {' '.join(errors) or output[-300:]}")


def _run(command: list[str]) -> tuple[int, str]:
    """Like common.run, but with the terminal as stdin: sudo may ask for a password."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def venv() -> None:
    """Make build/venv with the project (editable) and its tools; again after a change to them.

    Raises:
        ToolError: pip's or venv's complaint.
    """
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode())
    stamp = VENV / ".moat-stamp"
    with lock(ROOT / "build" / "download" / ".venv-lock"):
        if _is_current(stamp, digest.hexdigest()):
            return
        stamp.unlink(missing_ok=True)
        say("making the virtual environment build/venv")
        if run([VENV / "bin" / "python", "-m", "pip", "--version"]).returncode:
            _create()
        pip = [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
        done = run([*pip, "-q", "-e", ".[dev]"], cwd=ROOT)
        if done.returncode:
            raise ToolError(f"pip install -e .[dev] failed: {done.stdout.strip()[-600:]}")
        stamp.write_text(digest.hexdigest())


def _is_current(stamp: Path, digest: str) -> bool:
    return stamp.is_file() and stamp.read_text() == digest and (VENV / "bin/python").exists()


def _create() -> None:
    if importlib.util.find_spec("ensurepip") is None:  # Debian has it in a package of its own
        install(["python3-venv"], "the virtual environment needs ensurepip")
    done = run([sys.executable, "-m", "venv", "--clear", VENV])
    if done.returncode:
        raise ToolError(f"python3 -m venv failed: {done.stdout.strip()[-600:]}")


def ensure_board(board: Board) -> None:
    """Everything that building and running the board needs, but for MicroPython's source."""
    ensure((*BASE, *board.needs), f"board {board.name}")


def _main(args: list[str]) -> None:
    for arg in args:
        if arg == "--venv":
            venv()
        else:
            ensure_board(load(arg))


if __name__ == "__main__":
    main(_main)
