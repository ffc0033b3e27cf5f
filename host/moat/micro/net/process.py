"""ProcessLink: a byte stream to a process that this program starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moat.micro.proto.stream import ProcessBuf

__all__ = ["ProcessLink"]


class ProcessLink(ProcessBuf):
    """Starts a program when it is entered, ends it when it is left.

    Args:
        argv: the program and its arguments.
        env: its environment, by default ours.
        cwd: its working directory, by default ours.
        exit_s: seconds that it is given to end by itself when its stdin is closed.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        exit_s: float = 1.0,
    ) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.exit_s = exit_s
