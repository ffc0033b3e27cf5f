"""A unix image that serves TCP, with a key: hosts that have it, and an attacker who has not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgpack import packb, unpackb

from moat.micro.cmd._auth import FOR, NO_3, NONCE, PROOF
from moat.micro.cmd._wire import BYE, CALL, DONE, HELLO, VERSION
from moat.micro.cmd.auth import nonce
from moat.micro.device import Device, connect
from moat.micro.errors import AuthError, LinkLost
from moat.micro.net.net import NetLink, NetServer
from moat.micro.proto._msgpack import PREFIX, Decoder
from moat.micro.proto.stack import BaseBuf
from moat.micro.sync import connect_sync
from moat.micro.testing.console import Console
from tests.system.raw import OWN, Raw, call, message
from tests.system.row import connected, device
from tests.system.support import probe, write_files
from tests.system.test_command_line import command, moat_sat
from tests.system.test_links import free_port

KEY, OTHER = "the key of this device", "the key of another one"

COUNTS = """
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    n = 0

    async def cmd_more(self):
        self.n += 1
        return self.n

    async def stream_more(self, st):
        self.n += 1
"""


class Served:
    """A device: `dev` by its console port, `target` for others."""

    def __init__(self, folder: Path, dev: Device, port: int) -> None:
        self.folder = folder
        self.dev = dev
        self.port = port
        self.target = f"tcp:127.0.0.1:{port}"
        self.console = Console()

    def link(self) -> NetLink:
        return NetLink("127.0.0.1", self.port)


@asynccontextmanager
async def serving(folder: Path, **settings: object) -> AsyncIterator[Served]:
    """Start a device that serves TCP."""
    port = free_port()
    cfg = {
        "apps": {"up": "moat.micro.app.server:LinkServer"},
        "up": {"link": {"kind": "tcp", "port": port}, "key": KEY, **settings},
    }
    write_files(folder, {**probe(), "app/counts.py": COUNTS})
    (folder / "moat.cfg").write_bytes(packb(cfg))
    console = Console()
    async with device(folder, console=console) as dev:
        served = Served(folder, dev, port)
        served.console = console
        yield served


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


# ---- who has the key


async def test_with_the_key_a_host_may_do_everything(served: Served):
    async with connect(served.target, key=KEY) as dev:
        assert await dev.probe.add(40, b=2) == 42
        assert (await dev.cfg.get(["up"]))["key"] == "***"
        async with dev.probe.count(5) as st:
            assert [value async for value in st] == list(range(5))


async def test_with_another_key_or_none_a_host_is_told(served: Served):
    for key in (OTHER, None, KEY.upper(), KEY + " "):
        with pytest.raises(AuthError, match="wants its key"):
            async with connect(served.target, key=key):
                pass
    async with connect(served.target, key=KEY) as dev:
        assert await dev.sys.ping(1) == 1


async def test_without_an_event_loop(served: Served):
    def work() -> Any:
        with connect_sync(served.target, key=KEY) as dev:
            return dev.probe.add(1)

    assert await anyio.to_thread.run_sync(work) == 2


async def test_a_device_is_the_client(served: Served, tmp_path_factory: pytest.TempPathFactory):
    for key, is_good in ((KEY, True), (OTHER, False)):
        folder = tmp_path_factory.mktemp("client")
        link = {"kind": "tcp", "host": "127.0.0.1", "port": served.port}
        cfg = {
            "apps": {"next": "moat.micro.app.link:ClientLink"},
            "next": {"link": link, "key": key, "reconnect": {"base_ms": 10, "max_ms": 50}},
        }
        write_files(folder, probe())
        (folder / "moat.cfg").write_bytes(packb(cfg))
        console = Console()
        async with device(folder, console=console) as dev:
            if is_good:
                await connected(dev.next.sys.ping)
                assert await dev.next.probe.add(1) == 2
                assert await served.dev.up[0].probe.add(2) == 3
            else:
                await console.expect("no link, tried again in 1000 ms: the peer wants its key")
                async with dev.sys.log() as records:
                    text = (await records.recv())[2]
                assert text.startswith("next: no link, tried again in 1000 ms: the peer wants")
                assert "Traceback" not in console.text
        assert key not in console.text


async def test_the_key_cannot_be_read_and_survives_that_it_is_written_back(served: Served):
    cfg = served.dev.cfg
    section = await cfg.get(["up"])
    assert section["key"] == "***"
    assert KEY not in repr(await cfg.get([]))
    await cfg.set(["up"], {**section, "name": "x"})
    await cfg.save()
    stored = unpackb((served.folder / "moat.cfg").read_bytes())
    assert stored["up"]["key"] == KEY
    await connected(lambda: ping(served.target, KEY))
    await cfg.set(["up", "key"], OTHER)
    await cfg.save()
    await connected(lambda: ping(served.target, OTHER))
    with pytest.raises(AuthError):
        await ping(served.target, KEY)
    with pytest.raises(ValueError, match="secret"):
        await cfg.set(["other"], {"key": "***"})


async def ping(target: str, key: str) -> None:
    async with connect(target, key=key, docs=False) as dev:
        await dev.sys.ping()


async def test_no_log_shows_the_key(served: Served):
    for key in (OTHER, None):
        with pytest.raises(AuthError):
            async with connect(served.target, key=key):
                pass
    await served.console.expect("the peer has no key")
    assert "up: no session with 127.0.0.1:" in served.console.text
    assert "Traceback" not in served.console.text
    await served.dev.cfg.set(["up", "key"], "short secret")
    await served.dev.cfg.save()
    assert "at least 16" in str(await served.dev.up.rdy_())
    shown = served.console.text + repr(await served.dev.up.rdy_())
    for secret in (KEY, OTHER, "short secret"):
        assert secret not in shown


# ---- the command line


async def test_the_command_line_reads_the_key_from_a_file(served: Served, tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)

    def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*args, "call", "probe.add", "1", device=served.target),
            capture_output=True, text=True, check=False, env={**os.environ, **env},
        )  # fmt: skip

    done = await anyio.to_thread.run_sync(run, "--key-file", str(file))
    assert (done.stdout, done.stderr) == ("2\n", "")
    done = await anyio.to_thread.run_sync(lambda: run(MOAT_KEY_FILE=str(file)))
    assert (done.stdout, done.stderr) == ("2\n", "")
    file.chmod(0o644)
    done = await anyio.to_thread.run_sync(run, "--key-file", str(file))
    assert done.stdout == "2\n"
    assert f"others may read {file}" in done.stderr
    file.write_text(OTHER)
    done = await anyio.to_thread.run_sync(run, "--key-file", str(file))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("moat-sat: the peer wants its key of this link")
    assert f"the key in {file} is not the right one" in done.stderr
    assert OTHER not in done.stderr
    file.write_text("")
    done = await anyio.to_thread.run_sync(run, "--key-file", str(file))
    assert f"--key-file {file}: key: it has 0 bytes, at least 16 are needed" in done.stderr


def test_a_key_file_that_does_not_exist(tmp_path: Path):
    done = moat_sat(tmp_path, "--key-file", "no such", "info", device="tcp:127.0.0.1:1")
    assert done.returncode == 2
    assert "no such" in done.stderr


# ---- who has not


class Recorder(BaseBuf):
    """A byte stream on top of another one, which keeps what is said in each direction."""

    def __init__(self, parent: BaseBuf) -> None:
        self.parent = parent
        self.up = bytearray()
        self.down = bytearray()

    async def rd(self, buf: Any) -> int:
        n = await self.parent.rd(buf)
        self.down += buf[:n]
        return n

    async def wr(self, buf: Any) -> None:
        self.up += bytes(buf)
        await self.parent.wr(buf)

    async def __aenter__(self) -> Any:
        await self.parent.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> Any:
        return await self.parent.__aexit__(*exc)


def messages(data: bytes) -> list[Any]:
    """The messages in what has gone over a line."""
    decoder = Decoder(1 << 20)
    decoder.feed(data)
    found = []
    while (span := decoder.next()) is not None:
        found.append(unpackb(span, strict_map_key=False))
    return found


@asynccontextmanager
async def attack(served: Served) -> AsyncIterator[Raw]:
    """A connection of the attacker."""
    async with served.link() as link, Raw(link) as raw:
        yield raw


CALLS = call(1, ["counts", "more"]) + call(0, ["counts", "more"]) + call(2, ["sys", "ping"])
CALLS += message([CALL, 4, ["counts", "more"], b"", 1000])


async def said(raw: Raw) -> list[Any]:
    """All that the device says until it hangs up."""
    with anyio.fail_after(20):
        await raw.end()
    return raw.messages


def is_harmless(found: list[Any]) -> bool:
    """Whether these are hellos without a proof, and a bye."""
    return all(m[0] == BYE or (m[0] == HELLO and PROOF not in m[5]) for m in found)


async def record(served: Served) -> tuple[bytes, bytes]:
    """What a host with the key says, and what it hears."""
    recorder = Recorder(served.link())
    async with connect(recorder, key=KEY, docs=False) as dev:
        assert await dev.sys.ping(7) == 7
    return bytes(recorder.up), bytes(recorder.down)


def hello(peer: int | None = None, **more: Any) -> bytes:
    features = {NONCE: nonce(), **more.get("features", {})}
    return message([HELLO, VERSION, more.get("own", OWN), peer, 4096, features])


async def test_an_attacker_calls_nothing(served: Served):
    up, down = await record(served)
    hellos = [m for m in messages(up) if m[0] == HELLO]
    assert any(PROOF in m[5] for m in hellos)
    for tried in (
        CALLS,
        hello() + CALLS,
        message([HELLO, VERSION, OWN, None, 4096, {}]) + CALLS,
        message([HELLO, VERSION, OWN, None, 4096]) + CALLS,
        up + CALLS,
        down + CALLS,
        up + up + CALLS,
        hello(features={PROOF: bytes(32)}) + CALLS,
        hello(features={DONE: bytes(3000)}) * 20 + CALLS,
        b"".join(hello(own=OWN ^ n << 12) for n in range(2000)) + CALLS,
        bytes([PREFIX]) + packb(bytes(4000)) + CALLS,
    ):
        async with attack(served) as raw:
            try:
                await raw.write(tried)
                await raw.write(message([BYE]))
                await raw.write(message([HELLO, VERSION, OWN, None, 4096, {}]))
            except LinkLost:
                pass
            assert is_harmless(await said(raw))
    assert await served.dev.counts.more() == 1


async def test_an_attacker_who_answers_calls_nothing(served: Served):
    """He knows the id and the nonce of the device, and has a recording of a good session."""
    up, down = await record(served)
    old = [m for m in messages(up + down) if m[0] == HELLO and PROOF in m[5]]
    assert len(old) == 3
    for recorded in old:
        for keep in (True, False):
            async with attack(served) as raw:
                first = await raw.receive(HELLO)
                if not keep:
                    recorded[2] = OWN
                await raw.send([HELLO, VERSION, recorded[2], None, 4096, recorded[5]])
                await raw.send([*recorded[:3], first[2], *recorded[4:]])
                features = {**recorded[5], FOR: first[5][NONCE]}
                try:
                    await raw.send([*recorded[:3], first[2], recorded[4], features])
                    await raw.write(CALLS)
                except LinkLost:
                    pass  # the device has hung up
                assert is_harmless(await said(raw))
    assert await served.dev.counts.more() == 1


async def test_an_attacker_with_two_connections_calls_nothing(served: Served):
    """What the device says in one is of no use in the other one."""
    async with attack(served) as one, attack(served) as two:
        first, second = await one.receive(HELLO), await two.receive(HELLO)
        await one.send([HELLO, VERSION, second[2], None, 4096, second[5]])
        await two.send([HELLO, VERSION, first[2], None, 4096, first[5]])
        answer, other = await one.receive(HELLO), await two.receive(HELLO)
        assert is_harmless([answer, other])
        await one.send(other)
        await two.send(answer)
        await one.write(CALLS)
        await two.write(CALLS)
        await one.send([*other[:5], {**other[5], PROOF: bytes([NO_3] * 32)}])
        for raw in (one, two):
            await raw.send([HELLO, VERSION, OWN, None, 4096, {}])
        assert is_harmless(await said(one))
        assert is_harmless(await said(two))
    assert await served.dev.counts.more() == 1


async def test_a_false_server_learns_nothing_for_the_true_one(served: Served):
    """A host takes it for the device, and proves the key to it; which is of no use elsewhere."""
    heard: list[Any] = []

    async def serve(link: BaseBuf) -> None:
        async with link, Raw(link) as raw:
            await raw.write(hello())
            await raw.until(lambda: any(PROOF in m[5] for m in raw.messages))
            heard.extend(raw.messages)
            proof = heard[-1]
            # Its own proof, and that of the host again.
            features = {PROOF: proof[5][PROOF], FOR: proof[5][NONCE]}
            await raw.write(hello(proof[2], features=features))
            await anyio.sleep_forever()

    async with NetServer(serve, "127.0.0.1") as server:
        with pytest.raises(AuthError, match="another key"):
            async with connect(f"tcp:127.0.0.1:{server.port}", key=KEY):
                pass
    async with attack(served) as raw:
        for msg in heard:
            await raw.send(msg)
        await raw.write(CALLS)
        await raw.send([HELLO, VERSION, OWN, None, 4096, {}])
        assert is_harmless(await said(raw))
    assert await served.dev.counts.more() == 1
