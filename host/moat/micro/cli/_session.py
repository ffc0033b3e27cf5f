"""What all commands share: the connection, and errors in one line."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

import click

from moat.micro import rt
from moat.micro.boards import BoardError
from moat.micro.cmd.auth import secret
from moat.micro.device import Device, connect
from moat.micro.errors import ArgumentError, AuthError, MoatError
from moat.micro.stacks import ConfigError


def fail(message: str) -> NoReturn:
    """End with one line on stderr and exit status 1."""
    line = "; ".join(filter(None, map(str.strip, message.splitlines())))
    click.secho(f"moat-sat: {line}", err=True, fg="red")
    raise SystemExit(1)


def with_device(ctx: click.Context, work: Callable[[Device], Awaitable[None]]) -> None:
    """Connect to the device that the options name, and do `work` with it.

    What the device prints goes to stderr. Ctrl-C ends with exit status 130.
    """
    device, options = connection(ctx)
    try:
        rt.run(partial(_session, device, options, work))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except AuthError as exc:
        file = ctx.obj["key_file"]
        fail(f"{exc}" if file is None else f"{exc}; the key in {file} is not the right one")
    except click.ClickException as exc:
        fail(exc.message)
    except ArgumentError as exc:
        path = getattr(exc, "path", None) or "the command"
        fail(f"{path} does not take these arguments: {exc}; see `moat-sat ls -l {path}`")
    except (MoatError, BoardError) as exc:
        fail(str(exc))
    # What a command on the device has raised keeps its type.
    except Exception as exc:
        fail(f"{type(exc).__name__}: {exc}")


def connection(ctx: click.Context) -> tuple[str, dict[str, Any]]:
    """Return the device that the options name, and those of `connect`."""
    if ctx.obj["device"] is None:
        fail("which device? name it with -d, or in the variable MOAT_DEVICE, e.g. -d emu:unix")
    return ctx.obj["device"], {
        "stack": _stack(ctx.obj["stack"]),
        "key": _key(ctx.obj["key_file"]),
        "timeout": ctx.obj["timeout"],
    }


def _stack(text: str | None) -> Any:
    if not text:
        return None
    try:
        cfg: Any = json.loads(text)
    except ValueError as exc:
        fail(f"--stack: {text!r} is no JSON: {exc}")
    if not isinstance(cfg, dict):
        fail(f'--stack: {text!r} is no JSON object, such as {{"framing": "serialpacker"}}')
    return cast(dict[str, Any], cfg)


def _key(path: Path | None) -> bytes | None:
    """Return the first line of a file, which nobody else should be able to read."""
    if path is None:
        return None
    if path.stat().st_mode & 0o077:
        click.secho(f"moat-sat: others may read {path}: chmod 600 {path}", err=True, fg="yellow")
    try:
        return secret(path.read_bytes().split(b"\n")[0].rstrip(b"\r"))
    except (OSError, ConfigError) as exc:
        fail(f"--key-file {path}: {exc}")


async def _session(
    device: str, options: dict[str, Any], work: Callable[[Device], Awaitable[None]]
) -> None:
    async with connect(device, docs=False, **options) as dev:
        await work(dev)
