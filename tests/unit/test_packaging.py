"""What is built from the tree, and whether it works without the tree."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import moat
import moat.micro.errors
import moat.micro.rt
from moat.micro.version import VERSION

ROOT = Path(__file__).parents[2]
PORTABLE, SIM = ROOT / "firmware/portable", ROOT / "firmware/sim"
HOST, BOARDS = ROOT / "host", ROOT / "boards"

# Imports every module of the installed wheel, and nothing from elsewhere.
IMPORT_ALL = """
import importlib, importlib.metadata, sys
for file in importlib.metadata.files("moat-satellite"):
    if file.suffix == ".py":
        module = importlib.import_module(".".join(file.with_suffix("").parts))
        assert module.__file__ == str(file.locate()), (module.__file__, file.locate())
        print(module.__name__)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command, return its output; when it fails, the test shows all of it."""
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a distribution with the tools that are installed: nothing is downloaded."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", out, source)
    return next(out.iterdir())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    archive = build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # not in 3.11.2
        tar.extractall(folder)
    return folder / f"moat_satellite-{VERSION}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel installed.

    The dependencies are those of the running one, seen through a .pth file; .pth files there,
    such as that of the editable installation, have no effect here.
    """
    env = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", env)
    python = env / "bin/python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
    )
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def names(wheel: Path) -> set[str]:
    """The files in a wheel."""
    return set(zipfile.ZipFile(wheel).namelist())


def test_wheel_is_the_three_roots_and_the_facts_of_the_boards(wheel: Path) -> None:
    expected = {
        path.relative_to(root).as_posix()
        for root in (PORTABLE, SIM, HOST)
        for path in (root / "moat").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    expected |= {
        f"moat/micro/_boards/{p.parent.name}/{p.name}" for p in BOARDS.glob("*/board.toml")
    }
    assert {name for name in names(wheel) if ".dist-info/" not in name} == expected
    assert "moat/micro/py.typed" in expected


def test_wheel_carries_version_licence_and_command(wheel: Path) -> None:
    info = f"moat_satellite-{VERSION}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        assert f"\nVersion: {VERSION}\n" in archive.read(info + "METADATA").decode()
        assert "moat-sat = " in archive.read(info + "entry_points.txt").decode()
        licence = archive.read(info + "licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_bytes()


def test_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    assert names(build("wheel", sdist, tmp_path)) == names(wheel)


def test_sdist_has_what_an_image_needs(sdist: Path) -> None:
    for name in (
        "Makefile",
        "manifest.py",
        "firmware/device",
        "firmware/native",
        "firmware/viper",
        "boards",
        "tests",
    ):
        assert (sdist / name).exists(), name
    assert not (sdist / "build").exists()


def test_every_module_of_the_installed_wheel_imports(python: Path, tmp_path: Path) -> None:
    found = run(python, "-I", "-W", "error", "-c", IMPORT_ALL, cwd=tmp_path).split()
    assert {"moat.micro.rt", "moat.micro.errors", "moat.micro.testing.plugin"} <= set(found)


def test_installed_wheel_knows_the_boards(python: Path, tmp_path: Path) -> None:
    code = "from moat.micro.boards import all_boards; print(*(b.name for b in all_boards()))"
    found = run(python, "-I", "-c", code, cwd=tmp_path).split()
    assert sorted(found) == sorted(path.parent.name for path in BOARDS.glob("*/board.toml"))


def test_command_of_the_installed_wheel_tells_its_version(python: Path, tmp_path: Path) -> None:
    assert VERSION in run(python.parent / "moat-sat", "--version", cwd=tmp_path)


def third_party(files: Iterable[Path]) -> set[str]:
    """The distributions that these modules import."""
    owners = importlib.metadata.packages_distributions()
    tops: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(), str(file))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                tops.add(node.module.split(".")[0])
    tops -= {*sys.stdlib_module_names, "moat"}
    return {owner.lower() for top in tops for owner in owners.get(top, [top])}


def required(extra: str = "") -> set[str]:
    """The distributions that ours depends on; `extra` adds those of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    return {re.split(r"[^\w-]", line)[0].lower() for line in lines}


def test_what_the_wheel_imports_it_depends_on() -> None:
    files = {p for root in (PORTABLE, SIM, HOST) for p in root.rglob("*.py")}
    for_tests = {p for p in files if p.is_relative_to(HOST / "moat/micro/testing")}
    sync = HOST / "moat/micro/proto/sync.py"
    flash = set((HOST / "moat/micro/flash").glob("*.py"))
    assert {"anyio", "msgpack"} <= third_party(files - for_tests - flash - {sync}) <= required()
    assert third_party(for_tests) <= required("testing")
    assert third_party(flash) <= required() | required("flash")
    assert third_party({sync}) <= required("sync")
    assert third_party(flash) <= required("flash")


def test_editable_installation_resolves_both_roots() -> None:
    assert Path(moat.micro.rt.__file__) == HOST / "moat/micro/rt.py"
    assert Path(moat.micro.errors.__file__) == PORTABLE / "moat/micro/errors.py"
    assert {Path(p) for p in moat.__path__} == {HOST / "moat", PORTABLE / "moat", SIM / "moat"}


def test_editable_installation_is_up_to_date() -> None:
    found = importlib.metadata.distribution("moat-satellite")
    assert found.version == VERSION
    assert {(e.group, e.name) for e in found.entry_points} == {
        ("console_scripts", "moat-sat"),
        ("pytest11", "moat-satellite"),
    }
