"""Apps that need others to be ready first."""

from _apps import call, fresh, gate, log, state
from _helpers import raises, settle, until

from moat.micro.cmd._entries import parse
from moat.micro.cmd.apps import build
from moat.micro.errors import NotReadyError


def config(cls="Runs", **first):
    """Return the config of `b`, which needs `a`."""
    settings = {"name": "a"}
    settings.update(first)
    apps = {"a": "_apps:" + cls, "b": "_apps:Runs"}
    return {"apps": apps, "a": settings, "b": {"name": "b", "needs": "a"}}


async def test_an_app_is_started_when_what_it_needs_is_ready():
    fresh()
    go = gate("g")
    async with build(config(gate="g")) as root:
        await until(lambda: log)
        await settle()
        assert log == ["a set-up"]
        status = await call(root, ["b", "rdy_"])
        assert status == {"state": "starting", "waits_for": "a"}
        with raises(NotReadyError) as info:
            root.find(["b", "name"])
        assert str(info.exc) == "the app 'b' waits for the app 'a'"
        go.set()
        await call(root, ["b", "rdy_"], True)
        assert await call(root, ["b", "name"]) == "b"
        assert log.index("a runs") < log.index("b set-up")
        assert await call(root, ["b", "rdy_"]) == {"state": "ready"}


async def test_an_app_with_commands_only_waits_too():
    fresh()
    go = gate("g")
    cfg = config(gate="g")
    cfg["apps"]["b"] = "_apps:Plain"
    async with build(cfg) as root:
        await until(lambda: "a set-up" in log)
        assert await state(root, "b") == "starting"
        go.set()
        await call(root, ["b", "rdy_"], True)
        assert await call(root, ["b", "get"]) == {"name": "b"}


async def test_an_app_that_waits_can_be_stopped():
    fresh()
    gate("g")
    async with build(config(gate="g")) as root:
        await until(lambda: root.kept["b"].waits_for == "a")
        await call(root, ["b", "stp_"])
        assert await call(root, ["b", "rdy_"]) == {"state": "down"}
    assert "b set-up" not in log


async def test_it_waits_until_what_has_failed_is_back():
    fresh()
    told = []
    bad = config(setup="no", restart=False)
    async with build(bad, on_failed=lambda *what: told.append(what)) as root:
        await until(lambda: root.kept["a"].state == "failed")
        await call(root, ["a", "stp_"])
        await settle()
        assert root.kept["b"].waits_for == "a"
        await root.update(parse(config()))
        await call(root, ["b", "rdy_"], True)
        assert log.index("a runs") < log.index("b set-up")
    assert told == []


async def test_what_it_needs_may_be_in_a_directory_or_an_array():
    fresh()
    go = gate("g")
    cfg = {
        "apps": {"d": "dir", "x": "_apps:Runs", "y": "_apps:Runs"},
        "d": {"apps": {"e": "_apps:Runs"}, "e": [{"name": "e0"}, {"name": "e1", "gate": "g"}]},
        "x": {"name": "x", "needs": "d.e.0"},
        "y": {"name": "y", "needs": ["d", "x"]},
    }
    async with build(cfg) as root:
        await call(root, ["x", "rdy_"], True)
        await settle()
        assert await state(root, "y") == "starting"
        go.set()
        await call(root, ["y", "rdy_"], True)


async def test_the_first_start_is_settled_when_it_waits():
    fresh()
    gate("g")
    async with build(config(gate="g")) as root:
        await root.kept["b"].settled()
        assert root.kept["b"].waits_for == "a"
