"""A file that keeps what went through a stream; its format is described in docs/wire.md.

    with Capture("session.jsonl") as capture:
        stack = MsgpackMsgBuf(LogBuf(link, sink=capture))

moat.micro.testing.replay makes a stream of it again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgpack import packb

from moat.micro import rt

__all__ = ["Capture", "Record", "read_capture"]

_KEY = "moat-capture"
_VERSION = 1


class Capture:
    """A sink for a Log layer (proto.log) that writes a capture file.

    Each event is in the file when the call returns. One file is for one layer, which may be
    entered several times. What MessagePack cannot express, is written as its repr.

    Args:
        path: of the file, which is replaced.
        name: of the stream, for whoever reads the file.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | Path, name: str = "") -> None:
        self._start = rt.ticks_ms()
        self._file = Path(path).open("w", encoding="ascii", buffering=1)  # noqa: SIM115
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write({_KEY: _VERSION, "name": name, "time": time})

    def __call__(self, ticks: int, op: str, data: Any, exc: BaseException | None) -> None:
        """Take one event; see proto._log."""
        record: list[object] = [rt.ticks_diff(ticks, self._start), op]
        if exc is not None:
            name = "OSError" if isinstance(exc, OSError) else type(exc).__name__
            record += [None, [name, str(exc)]]
        elif op in ("send", "recv"):
            record.append(packb(data, default=repr).hex())
        elif data is not None:
            record.append(bytes(data).hex())
        self._write(record)

    def _write(self, line: object) -> None:
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file. Does no harm twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Record:
    """One event of a capture."""

    ms: int  # since the capture began
    op: str  # see proto._log
    data: bytes | None = None  # messages as MessagePack
    error: tuple[str, str] | None = None  # type and text


def read_capture(path: str | Path) -> list[Record]:
    """Read a capture file.

    A last line that is not complete is left out: whoever wrote it may have been killed.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no capture file, or of another version.
    """
    lines = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
    try:
        version = json.loads(lines[0])[_KEY]
    except (ValueError, IndexError, KeyError, TypeError):
        raise ValueError(f"{path} is no capture file") from None
    if version != _VERSION:
        raise ValueError(f"{path} has version {version} of the format, not {_VERSION}")
    records: list[Record] = []
    for i, line in enumerate(lines[1:], 2):
        try:
            records.append(_record(*json.loads(line)))
        except (ValueError, TypeError):
            raise ValueError(f"{path}:{i}: no record of a capture: {line[:100]}") from None
    return records


def _record(
    ms: int, op: str, data: str | None = None, error: list[str] | None = None, *_later: object
) -> Record:
    if error is not None:
        name, text, *_more = error
        return Record(ms, op, error=(name, text))
    return Record(ms, op, None if data is None else bytes.fromhex(data))
