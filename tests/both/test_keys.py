"""Keys: two CmdMsg on a line, and link apps; who has none gets nowhere."""

from _commands import App, Raw, end, outcome, recv_all, tree
from _flaky import FarEnd, Flaky
from _helpers import raises
from _memory import pair
from _net import socket_path, until
from test_link_app import call, client, ready, server, unix

from moat.micro import rt
from moat.micro.app.link import ClientLink
from moat.micro.app.server import LinkServer
from moat.micro.cmd import auth as keys
from moat.micro.cmd._auth import FOR, NO_3, NONCE, PROOF, hmac_sha256
from moat.micro.cmd._wire import BYE, CALL, HELLO, VERSION
from moat.micro.cmd.auth import auth, mixed, nonce, secret
from moat.micro.cmd.msg import CmdMsg
from moat.micro.errors import (
    AuthError,
    CallNotRunError,
    CallUnknownError,
    LinkLost,
    NotPermittedError,
)
from moat.micro.net.unix import UnixLink
from moat.micro.proto.msgpack import MsgpackMsgBuf
from moat.micro.proto.reconnect import ReconnectBuf
from moat.micro.proto.reliable import ReliableMsg
from moat.micro.stacks import ConfigError

KEY, OTHER = "the key of this link", "the key of another one"


# ---- the key itself


def test_a_vector_of_rfc_4231():
    found = hmac_sha256(b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First")
    assert found[:8] == b"\x60\xe4\x31\x59\x1e\xe0\xb6\x7f"


def test_a_text_stands_for_its_utf_8():
    assert secret("κλειδί κλειδί") == "κλειδί κλειδί".encode()
    assert secret(bytes(16)) == bytes(16)


def test_what_is_no_key_is_refused_and_not_shown():
    for key in ("short secret", b"short secret", "", 1234567890123456789, ["secret" * 9], None):
        with raises(ConfigError) as info:
            secret(key)
        assert "key" in str(info.exc)
        assert "secret" not in str(info.exc)
        assert "12345" not in str(info.exc)


def test_the_text_of_an_object_does_not_show_its_key():
    link = {"kind": "unix", "path": "x"}
    for thing in (auth(KEY), ClientLink({"link": link, "key": KEY}), CmdMsg(None, auth=auth(KEY))):
        assert KEY not in repr(thing) + str(thing)


def test_nonces_differ():
    for draw in (nonce, lambda: mixed(16)):
        found = []
        for _ in range(50):
            one = draw()
            assert len(one) == 16
            assert one not in found
            found.append(one)
    assert all(b & NO_3 for b in nonce())


def test_without_random_numbers_of_the_system_there_are_others():
    keys._pool = b""
    first = mixed(16)
    keys._pool = b""
    assert mixed(16) != first


# ---- two ends


@rt.asynccontextmanager
async def ends(near_key=KEY, far_key=KEY, near_is_server=False):
    """Yield two ends with these keys, or without."""
    a, b = pair()
    near = end(a, tree(), auth=None if near_key is None else auth(near_key, near_is_server))
    far = end(b, tree(), auth=None if far_key is None else auth(far_key, True))
    async with near, far:
        yield near, far


async def test_with_the_same_key_calls_go_both_ways():
    async with ends() as (near, far):
        await near.ready()
        await far.ready()
        assert await near.call(["app", "add"], 1) == 3
        assert await far.call(["app", "add"], 1, b=4) == 5


async def test_a_text_and_its_bytes_are_the_same_key():
    async with ends(KEY, KEY.encode()) as (near, _far):
        await near.ready()
        assert await near.call(["app", "add"], 1) == 3


async def test_with_another_key_both_ends_are_told():
    async with ends(OTHER) as (near, far):
        with raises(AuthError) as info:
            await far.ready()
        assert "another key" in str(info.exc)
        await far.closed()
        assert not near.core.open
        with raises(AuthError):
            await far.call(["app", "add"], 1)
    # The server says so when it leaves.
    a, b = pair()
    near = end(a, auth=auth(OTHER))
    async with near:
        async with end(b, auth=auth(KEY, True)) as far:
            with raises(AuthError):
                await far.ready()
        with raises(AuthError) as info:
            await near.ready()
        assert "wants its key" in str(info.exc)


async def test_without_a_key_both_ends_are_told():
    for server_has in (True, False):
        a, b = pair()
        has, has_not = (b, a) if server_has else (a, b)
        with_key = end(has, tree(), auth=auth(KEY, server_has))
        async with end(has_not, tree()) as without:
            async with with_key:
                with raises(AuthError) as info:
                    await with_key.ready()
                assert "no key" in str(info.exc)
            with raises(AuthError) as info:
                await without.ready()
            assert "wants its key" in str(info.exc)
            assert not without.core.open


async def test_two_clients_have_no_session():
    async with ends() as (near, _far):
        await near.ready()
    a, b = pair()
    async with end(a, auth=auth(KEY)) as near, end(b, auth=auth(KEY)):
        with raises(AuthError):
            await near.ready()


async def test_a_link_with_a_key_can_be_opened_again():
    a, b = pair()
    c, d = pair()
    near, far = end(a, auth=auth(KEY)), end(b, tree(), auth=auth(KEY, True))
    for bufs in (None, (c, d)):
        if bufs is not None:
            near.parent, far.parent = MsgpackMsgBuf(c), MsgpackMsgBuf(d)
        async with near, far:
            await near.ready()
            assert await near.call(["app", "add"], 1) == 3


async def test_nothing_is_answered_to_who_has_not_proved_the_key():
    for is_server in (True, False):
        a, b = pair()
        app = App()
        call = (CALL, 1, ["app", "bad"], b"\x91\xa5value")
        async with Raw(a) as raw:
            async with end(b, tree(app), auth=auth(KEY, is_server)) as cmd:
                await raw.send(*call)
                await raw.send(HELLO, VERSION, raw.own, None, 4096, {NONCE: nonce()})
                await raw.send(*call)
                features = {NONCE: nonce(), FOR: cmd._auth._nonce}
                await raw.send(HELLO, VERSION, raw.own, cmd.core.own, 4096, features)
                await raw.send(*call)
                await raw.send(HELLO, VERSION, raw.own, cmd.core.own, 4096, {})
                await raw.send(*call)
                await cmd.closed()
            found = []
            await recv_all(raw, found)
        assert app.log == []
        assert found[-2][0] == BYE
        assert found[-1] == "end"
        for msg in found[:-2]:
            assert msg[0] == HELLO
            assert not is_server or PROOF not in msg[5]


# ---- link apps


async def test_link_apps_with_the_same_key_have_all_rights():
    path = socket_path()
    async with server(path, key=KEY) as far, client(unix(path), key=KEY) as near:
        await ready(near)
        await ready(far, ("up", 0))
        assert await call(near, ["down", "app", "add"], 1) == 3
        assert await call(far, ["up", 0, "app", "add"], 1) == 3


async def tcp(far):
    """Return the section `link` for a client of this server."""
    await until(lambda: far.kept["up"].app is not None)
    await until(lambda: not far.kept["up"].app._server.name.endswith(":0"))
    port = int(far.kept["up"].app._server.name.split(":")[1])
    return {"kind": "tcp", "host": "127.0.0.1", "port": port}


async def test_a_network_with_a_key_has_all_rights_or_those_that_it_names():
    async with server(key=KEY) as far, client(await tcp(far), key=KEY) as near:
        await ready(near)
        assert await call(near, ["down", "app", "add"], 1) == 3
    settings = {"key": KEY, "rights": ["app.add"]}
    async with server(**settings) as far, client(await tcp(far), key=KEY) as near:
        await ready(near)
        assert await call(near, ["down", "app", "add"], 1) == 3
        with raises(NotPermittedError):
            await call(near, ["down", "app", "echo"], 1)


async def test_an_insecure_network_with_a_key_wants_the_key_all_the_same():
    insecure = {"insecure": True}
    async with server(key=KEY, **insecure) as far, client(await tcp(far), **insecure) as near:
        app = near.kept["down"].app
        await until(lambda: isinstance(app._reason(), AuthError))
        with raises(CallNotRunError) as info:
            await call(near, ["down", "app", "add"], 1)
        assert "wants its key" in str(info.exc)
        assert "wants its key" in (await near.find(["down", "rdy_"])())["error"]


async def test_a_server_drops_a_client_with_another_key_and_takes_the_next_one():
    path = socket_path()
    async with server(path, key=KEY) as far:
        await until(lambda: far.kept["up"].state == "ready")
        for key in (OTHER, None):
            cmd = CmdMsg(MsgpackMsgBuf(UnixLink(path)), auth=key and auth(key))
            async with cmd:
                with raises(AuthError, LinkLost):
                    await cmd.ready()
                await cmd.closed()
        await until(lambda: not far.kept["up"].app.clients)
        async with client(unix(path), key=KEY) as near:
            await ready(near)
            assert await call(near, ["down", "app", "add"], 1) == 3


async def test_a_client_that_proves_nothing_makes_room_for_others():
    path = socket_path()
    async with server(path, key=KEY) as far:
        await until(lambda: far.kept["up"].state == "ready")
        far.kept["up"].app.hello_ms = 20
        async with MsgpackMsgBuf(UnixLink(path)) as msg:
            await msg.send([HELLO, VERSION, Raw.own, None, 4096, {NONCE: nonce()}])
            found = []
            await recv_all(msg, found)
        assert [m[0] for m in found[:-1]] == [HELLO, HELLO]
        await until(lambda: not far.kept["up"].app.clients)


async def test_a_client_tries_again_after_a_while_and_says_why_it_is_not_connected():
    path = socket_path()
    async with client(unix(path), key=KEY) as near:
        app = near.kept["down"].app
        app.again_ms = (1, 1)
        async with server(path, key=OTHER):
            await until(lambda: isinstance(app._error, AuthError))
            with raises(CallNotRunError) as info:
                await call(near, ["down", "app", "add"], 1)
            assert "key" in str(info.exc)
        assert near.kept["down"].state == "ready"
        async with server(path, key=KEY):
            await ready(near)
            assert await call(near, ["down", "app", "add"], 1) == 3


async def test_a_client_that_shall_not_reconnect_fails():
    path = socket_path()
    async with server(path, key=OTHER) as far:
        await until(lambda: far.kept["up"].state == "ready")
        async with client(unix(path), key=KEY, reconnect=False, restart=False) as near:
            down = near.kept["down"]
            await until(lambda: down.state == "failed")
            assert isinstance(down.error, AuthError)


async def test_a_session_that_begins_anew_has_the_key_proved_again():
    path = socket_path()
    async with client(unix(path), key=KEY) as near:
        for _ in range(3):
            async with server(path, key=KEY):
                await ready(near)
                assert await call(near, ["down", "app", "add"], 1) == 3


def test_keys_that_make_no_sense_are_refused_and_not_shown():
    link = {"kind": "unix", "path": "x"}
    for cls, settings in (
        (ClientLink, {"key": "my secret"}),
        (ClientLink, {"key": ["my secret" * 9]}),
        (ClientLink, {"key": None}),
        (ClientLink, {"key": ""}),
        (ClientLink, {"key": "***"}),
        (LinkServer, {"key": "my secret"}),
        (LinkServer, {"key": {"my secret": 1}}),
        (ClientLink, {"key": KEY, "link": {"port": 1, "key": "my secret"}}),
        (LinkServer, {"key": KEY, "link": {"port": 1, "key": "my secret"}}),
        (LinkServer, {"key": KEY, "role": "client"}),
        (ClientLink, {"key": KEY, "role": "both"}),
        (ClientLink, {"key": KEY, "role": 1}),
    ):
        settings.setdefault("link", link)
        with raises(ConfigError) as info:
            cls(settings)
        assert "secret" not in str(info.exc)
        assert KEY not in str(info.exc)
        assert "key" in str(info.exc) or "role" in str(info.exc)


async def test_a_server_with_a_bad_key_says_so_without_it():
    async with server(socket_path(), key="my secret", restart=False) as far:
        up = far.kept["up"]
        assert up.state == "failed"
        status = await far.find(["up", "rdy_"])()
        assert "key: it has 9 bytes, at least 16 are needed" in status["error"]
        assert "secret" not in str(status)


async def test_one_of_two_clients_can_be_the_server():
    a, b = pair()
    far = client(a, key=KEY, role="server", reconnect=False)
    async with far, client(b, key=KEY, reconnect=False) as near:
        await ready(near)
        await ready(far)
        assert await call(near, ["down", "app", "add"], 1) == 3
        assert await call(far, ["down", "app", "add"], 1) == 3


# ---- a cable that is unplugged


def stacks():
    """Return two stacks over a cable without a reliable layer, and over one with it."""
    for layer in (lambda buf: buf, ReliableMsg):
        cable = Flaky()
        near = MsgpackMsgBuf(ReconnectBuf(cable, base_ms=1, max_ms=5))
        far = MsgpackMsgBuf(ReconnectBuf(FarEnd(cable), base_ms=1, max_ms=5))
        yield cable, layer(near), layer(far)


async def test_the_key_is_proved_again_when_the_link_was_replaced():
    for cable, one, two in stacks():
        app = App()
        near, far = CmdMsg(one, auth=auth(KEY)), CmdMsg(two, tree(app), auth=auth(KEY, True))
        async with near, far:
            await near.ready()
            assert await near.call(["app", "add"], 1) == 3
            for n in range(1, 4):
                before = near._auth._nonce
                log = []
                async with rt.TaskGroup() as tasks:
                    tasks.start_soon(outcome, log, near, ["app", "wait"])
                    await until(lambda app=app, n=n: app.log.count("started") == n)
                    cable.cut()
                    if isinstance(one, ReliableMsg):
                        await near.call(["app", "add"], 1)  # nothing was lost
                        tasks.cancel()
                if not isinstance(one, ReliableMsg):
                    assert isinstance(log[0], CallUnknownError)
                    await near.ready()
                    assert near._auth._nonce != before
                assert await near.call(["app", "add"], 1) == 3
            await until(lambda app=app: app.log.count("waited") == 3)


async def test_a_cable_that_is_plugged_in_elsewhere_finds_another_key():
    cable = Flaky()
    near = CmdMsg(MsgpackMsgBuf(ReconnectBuf(cable, base_ms=1)), auth=auth(KEY))
    async with near:
        await until(lambda: cable.peer is not None)
        async with end(FarEnd(cable), tree(), auth=auth(KEY, True)):
            await near.ready()
        old = cable.peer
        cable.cut()
        await until(lambda: cable.peer is not old)
        async with end(FarEnd(cable), tree(), auth=auth(OTHER, True)) as far:
            with raises(AuthError):
                await far.ready()
        await near.closed()
        with raises(AuthError):
            await near.call(["app", "add"], 1)
