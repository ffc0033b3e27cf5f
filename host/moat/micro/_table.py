"""A TOML table whose keys are taken one by one: what is wrong with one is told by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

__all__ = ("BoardError", "Table")


class BoardError(Exception):
    """There is no such board, or its board.toml is not as it should be."""


class Table:
    """A TOML table whose keys are taken one by one, so that what is left over is an error."""

    def __init__(self, path: Path, prefix: str, data: dict[str, Any]) -> None:
        self.path = path
        self.prefix = prefix
        self.data = data

    def fail(self, key: str, what: str) -> BoardError:
        return BoardError(f"{self.path}: {self.prefix}{key} {what}")

    def take(self, key: str, kind: type, what: str, default: Any = None) -> Any:
        value = self.data.pop(key, default)
        if value is None:
            raise self.fail(key, "is missing")
        if not isinstance(value, kind):
            raise self.fail(key, f"must be {what}")
        return value

    def text(
        self, key: str, allowed: tuple[str, ...] | None = None, *, default: str | None = None
    ) -> str:
        value = cast(str, self.take(key, str, "a string", default))
        if allowed and value not in allowed:
            raise self.fail(key, f"is {value!r}, not one of: {', '.join(allowed)}")
        return value

    def flag(self, key: str) -> bool:
        return cast(bool, self.take(key, bool, "true or false", default=False))

    def pin(self, key: str) -> int | str | None:
        value = self.data.pop(key, None)
        if value is not None and (not isinstance(value, int | str) or isinstance(value, bool)):
            raise self.fail(key, "must be a number or a string")
        return value

    def number(self, key: str) -> int | None:
        value = self.data.pop(key, None)
        if value is not None and (type(value) is not int or value <= 0):
            raise self.fail(key, "must be a number above 0")
        return value

    def texts(self, key: str, *, default: list[str] | None = None) -> tuple[str, ...]:
        value = cast("list[Any]", self.take(key, list, "a list of strings", default))
        if not all(isinstance(item, str) for item in value):
            raise self.fail(key, "must be a list of strings")
        return tuple(value)

    def table(self, key: str, default: dict[str, Any] | None = None) -> Table:
        data = cast("dict[str, Any]", self.take(key, dict, "a table", default))
        return Table(self.path, f"{self.prefix}{key}.", data)

    def tables(self, key: str) -> list[Table]:
        value = cast("list[Any]", self.take(key, list, "a list of tables"))
        if not all(isinstance(item, dict) for item in value):
            raise self.fail(key, "must be a list of tables")
        return [Table(self.path, f"{self.prefix}{key}[{i}].", v) for i, v in enumerate(value)]

    def end(self) -> None:
        """Raise BoardError when a key was not taken."""
        for key in self.data:
            raise self.fail(key, "is not known")
