"""A Debian source tarball or package from another suite, by a private apt configuration.

The machine's own sources say where the mirror is and which keyring verifies it; only the
suite is replaced. Nothing of the system is changed: lists, cache and sources are below the
folder that the caller names.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tools.common import ToolError, run

__all__ = ("Source", "derive", "fetch_deb", "fetch_orig", "read_sources")

ETC = Path("/etc/apt")
_ALIASES = {
    "oldoldstable", "oldstable", "stable", "testing", "unstable", "sid",
    "bullseye", "bookworm", "trixie", "forky", "duke",
}  # fmt: skip
_LINE = re.compile(r"(?:deb|deb-src)\s+(?:\[(?P<opts>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)")
_PRINTED = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) \d+ SHA256:(?P<sha>[0-9a-f]{64})")


@dataclass(frozen=True)
class Source:
    """One archive that a machine uses: where it is, what of it, and how it is verified."""

    uris: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[str, ...]
    """Lines of a deb822 stanza: Signed-By and the like."""

    def stanza(self, suite: str) -> str:
        """The deb822 stanza that takes source packages of this archive from `suite`."""
        head = ("Types: deb-src", f"URIs: {self.uris}", f"Suites: {suite}", "Components: main")
        return "\n".join((*head, *self.options)) + "\n"


def _one_line(line: str) -> Source | None:
    match = _LINE.fullmatch(line.partition("#")[0].strip())
    if not match:
        return None
    plural = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}
    options: list[str] = []
    for opt in (match["opts"] or "").split():
        key, _, value = opt.partition("=")
        options.append(f"{plural.get(key, key.title())}: {value.replace(',', ' ')}")
    suite, *components = match["rest"].split()
    return Source(match["uri"], (suite,), tuple(components), tuple(options))


def _fields(stanza: str) -> dict[str, str]:
    """Field name (lower case) to value, continuation lines included."""
    fields: dict[str, str] = {}
    key = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            fields[key] += "\n" + line
        else:
            key, _, value = line.partition(":")
            key = key.strip().lower()
            fields[key] = value.strip()
    return fields


def _deb822(stanza: str) -> Source | None:
    fields = _fields(stanza)
    if "uris" not in fields or fields.pop("enabled", "yes").lower() in ("no", "false", "0"):
        return None
    fields.pop("types", "")
    uris = " ".join(fields.pop("uris").split())
    suites = tuple(fields.pop("suites", "").split())
    components = tuple(fields.pop("components", "").split())
    options = tuple(f"{key.title()}: {value}" for key, value in fields.items())
    return Source(uris, suites, components, options)


def read_sources(etc: Path) -> list[Source]:
    """All archives in an /etc/apt folder, in both of apt's formats."""
    found: list[Source | None] = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".list":
            found += [_one_line(line) for line in text.splitlines()]
        else:
            found += [_deb822(part.strip("\n")) for part in re.split(r"\n[ \t]*\n", text)]
    return [source for source in found if source]


def derive(etc: Path, suite: str) -> list[str]:
    """Sources for `suite` from those archives that may have it; the likeliest first."""
    archives = [
        source
        for source in read_sources(etc)
        if _ALIASES & set(source.suites) and "main" in source.components
    ]
    archives.sort(key=lambda source: not source.uris.rstrip("/").endswith("/debian"))
    return list(dict.fromkeys(source.stanza(suite) for source in archives))


def _configure(work: Path, sources: str) -> Path:
    """Write an apt configuration whose every path is below `work`; returns its file."""
    for folder in ("lists/partial", "cache/archives/partial", "download"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "private.sources").write_text(sources)
    (work / "status").write_text("")
    conf = work / "apt.conf"
    conf.write_text(
        f'''Dir::Etc::SourceList "{work}/private.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "{work}/lists";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
APT::Default-Release "";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
'''
    )
    return conf


def _apt(conf: Path, *args: str, cwd: Path) -> str:
    command = ["apt-get", "-q", "-c", conf, *args]
    done = run(command, env={**os.environ, "LC_ALL": "C"}, cwd=cwd)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.startswith(("E:", "W:"))]
        detail = " ".join(lines[:3] or done.stdout.split("\n")[-3:]).strip()
        raise ToolError(f"{shlex.join(['apt-get', *args])}: {detail}")
    return done.stdout


def _source(conf: Path, package: str, version: str, work: Path) -> tuple[Path, str]:
    """See fetch_orig."""
    _apt(conf, "update", "--error-on=any", cwd=work)
    args = ("source", "--only-source", "--tar-only", package)
    uri = _PRINTED.search(_apt(conf, *args, "--print-uris", cwd=work))
    if not uri or not uri["file"].startswith(f"{package}_{version}"):
        raise ToolError(f"it has {uri['file'] if uri else 'no source'}, not {version}")
    folder = work / "download"
    _apt(conf, *args, "--download-only", cwd=folder)  # goes on with a part that is there
    return folder / uri["file"], uri["sha"]


def _deb(conf: Path, package: str, version: str, work: Path) -> tuple[Path, str]:
    """See fetch_deb."""
    _apt(conf, "update", "--error-on=any", cwd=work)
    uri = _PRINTED.search(_apt(conf, "download", package, "--print-uris", cwd=work))
    if not uri or not unquote(uri["file"]).startswith(f"{package}_{version}_"):
        raise ToolError(f"it has {uri['file'] if uri else 'no such package'}, not {version}")
    folder = work / "download"
    _apt(conf, "download", package, cwd=folder)
    return folder / unquote(uri["file"]), uri["sha"]


def fetch_deb(package: str, version: str, suites: tuple[str, ...], work: Path) -> tuple[Path, str]:
    """Download a binary package below `work`; see fetch_orig."""
    return _first(_deb, "deb", package, version, suites, work)


def fetch_orig(
    package: str, version: str, suites: tuple[str, ...], work: Path
) -> tuple[Path, str]:
    """Download the upstream tarball of a source package below `work`.

    Returns its path and the SHA-256 that the archive's signed index gives for it, which
    apt has checked.

    Raises:
        ToolError: no archive of this machine has this version; names all that were tried.
    """
    return _first(_source, "deb-src", package, version, suites, work)


def _first(
    fetch: Callable[[Path, str, str, Path], tuple[Path, str]],
    kind: str,
    package: str,
    version: str,
    suites: tuple[str, ...],
    work: Path,
) -> tuple[Path, str]:
    tried: list[str] = []
    for suite in suites:
        for sources in derive(ETC, suite):
            try:
                conf = _configure(work, sources.replace("deb-src", kind, 1))
                return fetch(conf, package, version, work)
            except ToolError as err:
                tried.append(f"suite {suite}: {err}")
    raise ToolError("; ".join(tried) or f"no Debian archive in {ETC}")
