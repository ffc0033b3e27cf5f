"""The apps that are links: a client, and a server with an array of clients."""

from _commands import App
from _helpers import raises
from _net import rd, socket_path, until

from moat.micro import rt
from moat.micro.app.link import ClientLink
from moat.micro.app.server import LinkServer
from moat.micro.cmd.apps import build
from moat.micro.cmd.link import LinkCmd
from moat.micro.cmd.rights import Rights
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import (
    CallError,
    CallNotRunError,
    CallUnknownError,
    NotFoundError,
    NotPermittedError,
    NotReadyError,
)
from moat.micro.net.unix import UnixLink
from moat.micro.stacks import ConfigError

SYS_PING = ["sys", "ping"]
QUICK = {"base_ms": 1, "max_ms": 10}


class Sys(BaseCmd):
    """What a network link may call."""

    async def cmd_ping(self, m=None):
        return m


def tree(app, name, cls, **settings):
    """Return the tree of a device with a link app."""
    spec = "moat.micro.app.%s" % cls
    sub = {"app": app, "sys": Sys()}
    return build({"apps": {name: spec}, name: settings}, sub)


def server(path=None, **settings):
    """Return a tree with a server at `up`."""
    link = {"kind": "unix", "path": path} if path else {"kind": "tcp", "port": 0}
    return tree(App(), "up", "server:LinkServer", link=link, **settings)


def client(link, **settings):
    """Return a tree with a client at `down`."""
    settings.setdefault("reconnect", QUICK)
    return tree(App(), "down", "link:ClientLink", link=link, **settings)


def unix(path):
    """Return the section `link` of a client."""
    return {"kind": "unix", "path": path}


async def call(root, path, *args):
    """Call along a tree, through its links."""
    link, n = root.find(path)
    return await link.call(path[n:], *args)


async def ready(root, path=("down",)):
    """Wait until a link is there."""
    items = list(path)
    items.append("x")

    def connected():
        try:
            return root.find(items)
        except CallError:
            return None

    await until(connected)


@rt.asynccontextmanager
async def over(link=None, **settings):
    """Yield the trees of a server and of a client that is connected to it."""
    path = None if link == "tcp" else socket_path()
    async with server(path, **settings) as far:
        where = unix(path)
        if path is None:
            await rt.sleep_ms(1)
            await until(lambda: not far.kept["up"].app._server.name.endswith(":0"))
            where = {"kind": "tcp", "host": "127.0.0.1"}
            where["port"] = int(far.kept["up"].app._server.name.split(":")[1])
        async with client(where, **settings) as near:
            await ready(near)
            await ready(far, ("up", 0))
            yield far, near


async def test_calls_go_both_ways():
    for framing in ("msgpack", "serialpacker"):
        async with over(framing=framing) as (far, near):
            assert await call(near, ["down", "app", "add"], 1) == 3
            assert await call(far, ["up", 0, "app", "add"], 2) == 4


async def test_the_way_back_leads_through_the_app():
    async with over() as (far, near):
        assert await call(near, ["down", "app", "here"]) == [["app", "here"], ["up", 0]]
        assert await call(far, ["up", 0, "app", "here"]) == [["app", "here"], ["down"]]


async def test_the_way_back_leads_through_directories():
    path = socket_path()
    inner = {"apps": {"a.b": "moat.micro.app.link:ClientLink"}}
    inner["a.b"] = [{"link": unix(path), "reconnect": QUICK}]
    root = build({"apps": {"d": "dir"}, "d": inner}, {"app": App()})
    async with server(path) as far, root as near:
        await ready(near, ("d", "a.b", 0))
        await ready(far, ("up", 0))
        here = await call(far, ["up", 0, "app", "here"])
        assert here == [["app", "here"], ["d", "a.b", 0]]


async def test_each_client_has_the_lowest_free_number():
    path = socket_path()
    async with server(path) as far, client(unix(path)) as one:
        await ready(far, ("up", 0))
        async with client(unix(path)):
            await ready(far, ("up", 1))
            async with client(unix(path)):
                await ready(far, ("up", 2))
                assert await far.find(["up", "dir_"])() == {
                    "c": ["address", "dir_", "doc_", "rdy_", "stp_", "upd_"],
                    "s": [],
                    "d": [],
                    "l": [0, 1, 2],
                }
                await one.find(["stp_"])()
                await until(lambda: far.kept["up"].app.child(0) is None)
                async with client(unix(path)) as four:
                    await ready(four)
                    await ready(far, ("up", 0))
                    here = await call(four, ["down", "app", "here"])
                    assert here[1] == ["up", 0]


async def test_without_a_peer_a_call_is_not_run_and_the_reason_is_told():
    path = socket_path()
    async with client(unix(path)) as near:
        await near.find(["rdy_"])(True)
        app = near.kept["down"].app
        await until(lambda: app._error is not None)
        with raises(CallNotRunError) as info:
            near.find(["down", "app", "add"])
        assert "not connected: %s: there is no such socket" % path in str(info.exc)


async def test_who_waits_is_told_when_the_link_is_there():
    path = socket_path()
    async with client(unix(path)) as near:
        app = near.kept["down"].app
        await until(lambda: app._error is not None)
        state = await near.find(["down", "rdy_"])()
        assert state["state"] == "starting"
        assert "no such socket" in state["error"]
        told = []

        async def wait():
            told.append(await near.find(["down", "rdy_"])(True))

        async with rt.TaskGroup() as tasks:
            tasks.start_soon(wait)
            async with server(path):
                await until(lambda: told)
                assert await call(near, ["down", "app", "add"], 1) == 3
        assert told == [{"state": "ready"}]


async def test_who_waits_is_told_when_the_link_is_stopped():
    async with client(unix(socket_path())) as near:
        waiting = near.find(["down", "rdy_"])(True)
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(near.find(["stp_"]))
            with raises(NotReadyError):
                await waiting


async def test_the_link_comes_back_by_itself():
    path = socket_path()
    async with client(unix(path)) as near:
        for _ in range(2):
            async with server(path):
                await ready(near)
                assert await call(near, ["down", "app", "add"], 1) == 3
            with raises(CallNotRunError):
                await call(near, ["down", "app", "add"], 1)


async def test_a_call_under_way_ends_when_the_server_goes():
    path = socket_path()
    async with client(unix(path)) as near, server(path) as far:
        await ready(near)
        log = far.sub["app"].log

        async def stop():
            await until(lambda: "started" in log)
            await far.find(["up", "stp_"])()

        async with rt.TaskGroup() as tasks:
            tasks.start_soon(stop)
            with raises(CallUnknownError):
                await call(near, ["down", "app", "wait"])
        assert log == ["started", "waited"]


async def test_without_reconnecting_the_app_fails():
    path = socket_path()
    restart = {"base_ms": 1, "max_ms": 1000, "jitter": 0}
    async with client(unix(path), reconnect=False, restart=restart) as near:
        down = near.kept["down"]
        await until(lambda: down.state == "failed")
        assert "no such socket" in str(down.error)


# ---- rights


async def test_a_named_socket_has_all_rights():
    async with over() as (_far, near):
        assert await call(near, ["down", "app", "add"], 1) == 3


async def test_a_network_has_the_least_rights_at_both_ends():
    async with over("tcp") as (far, near):
        for root, way in ((near, ["down"]), (far, ["up", 0])):
            assert await call(root, way + SYS_PING, 5) == 5
            for path in (["app", "add"], ["up", 0, "app", "add"], ["down", "app", "add"]):
                with raises(NotPermittedError):
                    await call(root, way + path, 1)


async def test_a_network_that_is_said_to_be_insecure_has_all_rights():
    async with over("tcp", insecure=True) as (_far, near):
        assert await call(near, ["down", "app", "add"], 1) == 3


async def test_a_config_names_rights():
    for link in ("unix", "tcp"):
        async with over(link, rights=["app.add"]) as (_far, near):
            assert await call(near, ["down", "app", "add"], 1) == 3
            with raises(NotPermittedError):
                await call(near, ["down", "app", "echo"], 1)


async def test_a_base_is_the_peers_root():
    async with over(base="app") as (_far, near):
        assert await call(near, ["down", "add"], 1) == 3
        with raises(NotFoundError):
            await call(near, ["down", "app", "add"], 1)


def test_a_link_that_is_down_tells_nothing_to_who_has_no_right():
    root = Dispatch({"l": LinkCmd(), "m": LinkCmd()})
    with raises(NotPermittedError):
        Rights(root, ["m"]).find(["l", "x"])
    with raises(CallNotRunError):
        Rights(root, ["m"]).find(["m", "x"])


# ---- configs that make no sense


def test_what_makes_no_sense_is_refused():
    link = {"kind": "unix", "path": "x"}
    tcp = {"kind": "tcp", "port": 1}
    for cls, settings, word in (
        (ClientLink, {}, "link"),
        (ClientLink, {"link": link, "rights": "app"}, "rights"),
        (ClientLink, {"link": link, "rights": [1]}, "rights"),
        (ClientLink, {"link": link, "rights": [None]}, "rights"),
        (LinkServer, {"link": tcp, "rights": [[]]}, "rights"),
        (ClientLink, {"link": link, "rights": ["a..b"]}, "rights"),
        (ClientLink, {"link": link, "framings": 1}, "framings"),
        (ClientLink, {"link": tcp}, "host"),
        (ClientLink, {"link": link, "limit": 100}, "limit"),
        (LinkServer, {"link": tcp, "limit": -1}, "limit"),
        (LinkServer, {"link": tcp, "limit": "much"}, "limit"),
        (ClientLink, {"link": link, "carries": "bytes"}, "carries"),
        (LinkServer, {}, "link"),
        (LinkServer, {"link": "unix"}, "path"),
        (LinkServer, {"link": {"kind": "serial"}}, "tcp, unix"),
        (LinkServer, {"link": tcp, "reconnect": True}, "client"),
        (LinkServer, {"link": tcp, "framing": "x"}, "framing"),
        (LinkServer, {"link": tcp, "insecure": 1}, "insecure"),
    ):
        with raises(ConfigError) as info:
            cls(settings)
        assert word in str(info.exc), info.exc


# ---- clients that are none


async def test_a_client_that_says_nothing_is_dropped():
    path = socket_path()
    async with server(path) as far:
        await until(lambda: far.kept["up"].state == "ready")
        far.kept["up"].app.hello_ms = 5
        async with UnixLink(path) as link:
            with raises(EOFError):
                while True:
                    await rd(link)
        await until(lambda: not far.kept["up"].app.clients)
