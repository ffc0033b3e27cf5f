"""The drives that boot loaders show: a UF2 file that is copied to one is flashed.

Such a drive has a file INFO_UF2.TXT that tells which board it is
(https://github.com/microsoft/uf2, "Files exposed by bootloaders").
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ("INFO", "Drive", "mounted", "read", "unmounted")

INFO = "INFO_UF2.TXT"
_MAX_INFO = 4096
_FAT = ("vfat", "msdos", "fuseblk")


@dataclass(frozen=True)
class Drive:
    """A boot loader's drive: where it is mounted, and what it says about the board."""

    folder: Path
    board_id: str
    model: str

    def is_there(self) -> bool:
        """Whether it still is; it goes when the board leaves its boot loader."""
        return read(self.folder) is not None


def read(folder: Path) -> Drive | None:
    """The drive that is mounted at `folder`; None when that is no such drive."""
    try:
        with (folder / INFO).open("rb") as file:
            text = file.read(_MAX_INFO).decode("ascii", "replace")
    except OSError:
        return None
    fields = dict(re.findall(r"^([\w-]+): *(.*?)\s*$", text, re.MULTILINE))
    if "Board-ID" not in fields:
        return None
    return Drive(folder, fields["Board-ID"], fields.get("Model", fields["Board-ID"]))


def mounted(system: str = sys.platform, root: str = "/") -> list[Drive]:
    """All boot loaders' drives that are mounted, in order of their folders.

    Args:
        system: as sys.platform.
        root: what stands before every path.
    """
    folders = _PLACES.get(system, _on_linux)(root)
    drives = (read(folder) for folder in sorted(set(folders)))
    return [drive for drive in drives if drive]


def unmounted(label: str, system: str = sys.platform, root: str = "/") -> Path | None:
    """The device of a drive with this label that is plugged in and not mounted (Linux only)."""
    device = Path(root, "dev/disk/by-label", label)
    if system != "linux" or not device.exists():
        return None
    names = {str(device), str(device.resolve())}
    used = (Path(root, line[0].lstrip("/")) for line in _mount_table(root))
    return None if names & set(map(str, used)) else device


def _mount_table(root: str) -> Iterator[list[str]]:
    """Device, folder and type of all that is mounted; see fstab(5) for the escapes."""
    try:
        text = Path(root, "proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 2:
            yield [re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), f) for f in fields[:3]]


def _on_linux(root: str) -> Iterator[Path]:
    for _, folder, kind in _mount_table(root):
        if kind in _FAT:  # a look at a network's folder might take for ever
            yield Path(root, folder.lstrip("/"))
    for pattern in ("media/*", "media/*/*", "run/media/*/*"):
        yield from Path(root).glob(pattern)


def _on_macos(root: str) -> Iterator[Path]:
    return Path(root).glob("Volumes/*")


def _on_windows(root: str) -> Iterator[Path]:
    before = "" if root == "/" else root
    for letter in string.ascii_uppercase[2:]:  # A: and B: are floppy disks, which would spin
        yield Path(f"{before}{letter}:/")


_PLACES = {"darwin": _on_macos, "win32": _on_windows}
