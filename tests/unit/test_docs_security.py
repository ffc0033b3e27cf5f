"""docs/security.md: what it says of the code is so."""

from __future__ import annotations

import inspect
from pathlib import Path

from click.testing import CliRunner

from moat.micro.app.link import ClientLink
from moat.micro.app.server import LinkServer
from moat.micro.cli.main import main
from moat.micro.cmd import auth
from moat.micro.cmd._config import HIDDEN, SECRETS
from moat.micro.cmd.rights import LEAST
from moat.micro.net.server import Server

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "docs/security.md").read_text(encoding="utf-8").split())


def test_the_figures() -> None:
    first, last = (ms // 1000 for ms in ClientLink.again_ms)
    clients = inspect.signature(Server).parameters["max_clients"].default
    for text in (
        f"text (its UTF-8 counts) or bytes, at least {auth.LEAST}.",
        f"after {first} second, 2, 4, … {last}.",
        f"all connections of a server ({clients} by default)",
    ):
        assert text in TEXT
    assert LinkServer.hello_ms == 10000
    assert "each for ten seconds" in TEXT


def test_the_names() -> None:
    assert " and ".join(f"`{path}`" for path in LEAST) in TEXT
    *others, last = (f"`{name}`" for name in SECRETS)
    assert f"whatever is called {', '.join(others)} or {last}" in TEXT
    assert f'tells `"{HIDDEN}"`' in TEXT
    shown = CliRunner().invoke(main, ["--help"]).output
    for name in ("--key-file", "MOAT_KEY_FILE"):
        assert name in TEXT
        assert name in shown
