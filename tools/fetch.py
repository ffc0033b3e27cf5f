"""Get MicroPython's source: a given tree, Debian's source package, or a git clone.

    python3 -m tools.fetch [VERSION]        prints the folder

MPY (or the argument) is the version, MPY_DIR a tree to use as it is, MPY_GIT another
repository to clone. Nothing is patched. What is got is kept below build/.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from pathlib import Path

from tools import apt
from tools.common import ROOT, ToolError, lock, main, run, say, shown

__all__ = ("DEFAULT", "source", "tree_version", "wanted")

DEFAULT = "1.25.0"
_OLDEST = (1, 25, 0)
_GIT = "https://github.com/micropython/micropython.git"
_SHA256 = {  # of Debian's orig tarballs, which are upstream's trees without submodules
    "1.25.0": "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
    "1.26.1": "f5ad2ec89d3e921f753d448955af98b6005655f84ba26087dde6ba0e8d062f34",
}
_SUITES = {"1.25.0": ("trixie",)}
_NEWER_SUITES = ("forky", "testing", "unstable")


def wanted() -> str:
    """The version asked for by MPY; checked.

    Raises:
        ToolError: not a version, or too old.
    """
    return _checked(os.environ.get("MPY") or DEFAULT)


def _checked(version: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ToolError(f"MPY={version} is not a version such as {DEFAULT}")
    if tuple(map(int, version.split("."))) < _OLDEST:
        raise ToolError(f"MicroPython {version} is too old: {DEFAULT} or newer is needed")
    return version


def tree_version(tree: Path) -> str:
    """The version of a MicroPython tree, such as "1.25.0" or "1.26.0-preview".

    Raises:
        ToolError: it is no such tree.
    """
    try:
        text = (tree / "py" / "mpconfig.h").read_text()
    except OSError:
        what = "is not a MicroPython source tree: it has no py/mpconfig.h"
        raise ToolError(f"{tree} {what}") from None
    found = dict(re.findall(r"#define MICROPY_VERSION_(\w+) \(?(\d+)\)?$", text, re.MULTILINE))
    try:
        version = f"{found['MAJOR']}.{found['MINOR']}.{found['MICRO']}"
    except KeyError:
        raise ToolError(f"{tree}/py/mpconfig.h names no version: not 1.25 or newer") from None
    return version + ("-preview" if found.get("PRERELEASE", "0") != "0" else "")


def source(version: str | None = None, work: Path = ROOT / "build") -> Path:
    """The folder of MicroPython's source; got first where it is not there yet.

    `version` is ignored when MPY_DIR is set. Two processes may ask at the same time.

    Raises:
        ToolError: says what failed, and every way that was tried.
    """
    if given := os.environ.get("MPY_DIR"):
        return _given(Path(given).absolute())
    version = _checked(version) if version else wanted()
    target = work / "src" / f"micropython-{version}"
    with lock(work / "download" / ".lock"):
        if not target.is_dir():  # it appears complete, or not at all
            _get(version, target, work / "download")
    return target


def _given(tree: Path) -> Path:
    try:
        version = tree_version(tree)
    except ToolError as err:
        raise ToolError(f"MPY_DIR={err}") from None
    number = tuple(map(int, version.removesuffix("-preview").split(".")))
    if number < _OLDEST or version == f"{DEFAULT}-preview":
        raise ToolError(f"MPY_DIR={tree} is MicroPython {version}: {DEFAULT} or newer is needed")
    return tree


def _get(version: str, target: Path, download: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".new-{target.name}")
    tried: list[str] = []
    for name, way in (("Debian's source package", _from_debian), ("git clone", _from_git)):
        shutil.rmtree(new, ignore_errors=True)  # what a run that was killed has left
        try:
            way(version, new, download)
            if (got := tree_version(new)) != version:
                raise ToolError(f"this is MicroPython {got}")
            new.rename(target)
            return
        except ToolError as err:
            tried.append(f"\n  {name}: {err}")
        except (OSError, tarfile.TarError, EOFError) as err:
            tried.append(f"\n  {name}: {type(err).__name__}: {err}")
        finally:
            shutil.rmtree(new, ignore_errors=True)
    raise ToolError(
        f"cannot get the source of MicroPython {version}. Tried:{''.join(tried)}\n"
        "Run it again when the network is back, or give a source tree: MPY_DIR=…"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_debian(version: str, new: Path, download: Path) -> None:
    orig = download / f"micropython-{version}.orig.tar.xz"
    if not _is_whole(orig, version):
        say(f"downloading MicroPython {version} (Debian's source package)")
        suites = _SUITES.get(version, _NEWER_SUITES)
        got, signed = apt.fetch_orig("micropython", version, suites, download / "apt")
        for sha in (signed, _SHA256.get(version, signed)):
            if _sha256(got) != sha:
                got.unlink()
                raise ToolError(f"{got.name} is damaged or not the known one; removed")
        got.replace(orig)
    _unpack(orig, new)


def _is_whole(orig: Path, version: str) -> bool:
    """Whether the cached download can be used; removes a damaged one."""
    if version not in _SHA256 or not orig.exists():
        return False  # apt knows the right sum
    if _sha256(orig) == _SHA256[version]:
        return True
    say(f"{shown(orig)} is damaged: getting it again")
    orig.unlink()
    return False


def _unpack(orig: Path, new: Path) -> None:
    """Unpack the one folder in the tarball as `new`."""
    inside = new.with_name(new.name + ".d")
    shutil.rmtree(inside, ignore_errors=True)
    try:
        with tarfile.open(orig) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(inside, filter="data")
            else:  # before 3.11.4; the sum was checked
                tar.extractall(inside)
        (top,) = inside.iterdir()
        top.rename(new)
    except ValueError:
        raise ToolError(f"{orig.name} does not hold one folder") from None
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def _from_git(version: str, new: Path, download: Path) -> None:
    del download
    url = os.environ.get("MPY_GIT") or _GIT
    say(f"cloning MicroPython {version} from {url}")
    done = run(
        ["git", "-c", "advice.detachedHead=false", "clone", "-q", "--depth", "1",
         "--branch", f"v{version}", url, new],
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode:
        raise ToolError(f"{url}: {' '.join(done.stdout.split()) or 'failed'}")


def _main(args: list[str]) -> None:
    print(source(args[0] if args else None))


if __name__ == "__main__":
    main(_main)
