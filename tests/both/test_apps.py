"""Trees of apps from a config: start, stop, states, new settings, directories, arrays."""

from _apps import call, fresh, gate, log, one, state
from _helpers import ON_DEVICE, raises, settle, until

from moat.micro import rt
from moat.micro.cmd import keeper
from moat.micro.cmd.apps import build
from moat.micro.cmd.tree import BaseCmd
from moat.micro.errors import InUseError, NotFoundError, NotReadyError

# ---- start and stop


async def test_an_app_gets_its_section():
    fresh()
    async with build(one("Plain", pin=4)) as root:
        assert await call(root, ["a", "get"]) == {"pin": 4}
        assert log == [["plain", {"pin": 4}]]
        assert await state(root, "a") == "ready"


async def test_an_app_without_a_section_is_made_without_arguments():
    fresh()
    async with build({"apps": {"a": "_apps:Bare", "b": "_apps:Plain"}, "a": {"lazy": False}}) as r:
        assert await call(r, ["a", "get"]) == "bare"
        assert await call(r, ["b", "get"]) is None


async def test_an_app_with_commands_only_gets_no_task():
    async with build(one("Plain", pin=4)) as root:
        assert not root.kept["a"]._running
        await call(root, ["a", "stp_"])
        assert await state(root, "a") == "down"
        await call(root, ["a", "upd_"])
        assert await call(root, ["a", "get"]) == {"pin": 4}


async def test_leaving_stops_the_apps_and_waits_for_their_tear_down():
    fresh()
    async with build(one()) as root:
        await call(root, ["a", "rdy_"], wait=True)
        await settle()
        assert log == ["x set-up", "x runs"]
        assert await call(root, ["a", "name"]) == "x"
    assert log == ["x set-up", "x runs", "x cancelled", "x tear-down", "x gone"]


async def test_a_tree_that_is_cancelled_cancels_the_apps():
    fresh()

    async def enter():
        async with build(one()):
            await rt.Event().wait()

    async with rt.TaskGroup() as tasks:
        tasks.start_soon(enter)
        await until(lambda: "x runs" in log)
        tasks.cancel()
    assert log[2:4] == ["x cancelled", "x tear-down"]


async def test_an_error_in_the_body_ends_the_apps_too():
    fresh()
    with raises(ValueError):
        async with build(one()):
            await until(lambda: "x runs" in log)
            raise ValueError
    assert "x tear-down" in log


async def test_a_tree_can_be_entered_again_and_not_twice_at_once():
    fresh()
    root = build(one())
    for _ in range(2):
        async with root:
            await call(root, ["a", "rdy_"], True)
            with raises(InUseError):
                await root.__aenter__()
        await update(root, one(name="y"))
        await update(root, one())
        assert await state(root, "a") == "down"
    assert log.count("x runs") == 2
    assert "y set-up" not in log


async def test_stop_tears_down_and_update_starts_anew():
    fresh()
    async with build(one()) as root:
        await call(root, ["a", "rdy_"], True)
        await settle()
        await call(root, ["a", "stp_"])
        assert log[-3:] == ["x cancelled", "x tear-down", "x gone"]
        assert await call(root, ["a", "rdy_"]) == {"state": "down"}
        with raises(NotReadyError) as info:
            root.find(["a", "name"])
        assert str(info.exc) == "the app 'a' is stopped"
        await call(root, ["a", "upd_"])
        await call(root, ["a", "rdy_"], True)
        assert await call(root, ["a", "name"]) == "x"


async def test_stop_during_set_up_cancels_it():
    fresh()
    gate("g")
    async with build(one(gate="g")) as root:
        await until(lambda: log)
        assert await state(root, "a") == "starting"
        await call(root, ["a", "stp_"])
        assert await state(root, "a") == "down"
    assert log == ["x set-up"]


async def test_a_tear_down_that_takes_too_long_is_cancelled():
    fresh()
    limit, keeper.TEAR_DOWN_MS = keeper.TEAR_DOWN_MS, 20
    try:
        async with build(one("Stuck")) as root:
            await call(root, ["a", "rdy_"], True)
            await call(root, ["a", "stp_"])
            assert log == ["tear-down cancelled"]
    finally:
        keeper.TEAR_DOWN_MS = limit


async def test_a_tear_down_that_fails_stops_the_app_all_the_same():
    fresh()
    told = []
    async with build(one("Clumsy"), on_failed=lambda *what: told.append(what)) as root:
        await call(root, ["a", "rdy_"], True)
        await call(root, ["a", "stp_"])
        assert await call(root, ["a", "rdy_"]) == {"state": "down"}
        await call(root, ["a", "upd_"])
        await call(root, ["a", "rdy_"], True)
        real, keeper.report = keeper.report, lambda text, exc: log.append(text)
    keeper.report = real
    assert log == ["fails", "fails", "a has failed while it was stopped"]
    assert told == []


async def test_commands_stay_when_the_task_is_done():
    fresh()
    async with build(one(done=True)) as root:
        await until(lambda: "x runs" in log)
        await settle()
        assert await state(root, "a") == "ready"
        assert await call(root, ["a", "name"]) == "x"
        assert log == ["x set-up", "x runs"]


# ---- states


async def test_ready_waits_for_the_set_up():
    fresh()
    go = gate("g")
    async with build(one(gate="g")) as root, rt.TaskGroup() as tasks:

        async def wait():
            log.append(await call(root, ["a", "rdy_"], wait=True))

        tasks.start_soon(wait)
        await settle()
        assert log == ["x set-up"]
        for path in (["a", "name"], ["a", 0, "name"], ["a", "more", "name"]):
            with raises(NotReadyError) as info:
                root.find(path)
            assert str(info.exc) == "the app 'a' is being started"
        go.set()
        await until(lambda: len(log) == 3)
        assert {"state": "ready"} in log


async def test_what_does_not_run_is_ready_and_takes_no_harm():
    node = BaseCmd()
    assert await node.cmd_rdy_(wait=True) == {"state": "ready"}
    await node.cmd_stp_()
    await node.cmd_upd_()
    assert await node.cmd_rdy_() == {"state": "ready"}


async def test_dir_of_an_app_that_is_down_has_what_it_answers():
    async with build(one("Fails")) as root:
        here = await call(root, ["a", "dir_"])
        assert here == {"c": ["dir_", "doc_", "rdy_", "stp_", "upd_"], "s": [], "d": []}
        assert (await call(root, ["dir_"]))["d"] == ["a"]


async def test_a_stream_of_an_app_that_is_down_says_so():
    async with build(one("Fails")) as root:
        with raises(NotReadyError):
            root.find(["a", "names"], True)


# ---- what fails at the start


async def failing(cls):
    """Return the state of an app that cannot be loaded, and what the tree was told."""
    told = []
    tree = build({"apps": {"a": cls}}, on_failed=lambda *what: told.append(what))
    async with tree as root:
        status = await call(root, ["a", "rdy_"])
        with raises(NotReadyError) as info:
            await call(root, ["a", "rdy_"], True)
        assert str(info.exc) == "the app 'a' has failed: " + status["error"]
    assert told == [("a", status["error"])]
    return status


async def test_an_app_that_cannot_be_loaded_has_failed():
    status = await failing("_apps:Fails")
    assert status == {"state": "failed", "error": "ValueError: not today"}
    missing = "ImportError" if ON_DEVICE else "ModuleNotFoundError"
    assert missing in (await failing("no_such_module:App"))["error"]
    assert "AttributeError" in (await failing("_apps:Nothing"))["error"]
    assert "no subclass of BaseCmd" in (await failing("_apps:NotACommand"))["error"]


async def test_an_app_that_fails_leaves_the_others_alone():
    cfg = {"apps": {"a": "_apps:Fails", "b": "_apps:Bare"}}
    async with build(cfg) as root:
        assert await call(root, ["b", "get"]) == "bare"
        status = await call(root, ["rdy_"])
        assert status["state"] == "failed"
        assert list(status["apps"]) == ["a"]


# ---- directories, arrays, lazy apps, other nodes


HOUSE = {
    "apps": {"house": "dir", "lamps": "_apps:Plain", "top": "_apps:Bare"},
    "house": {"apps": {"room": "_apps:Runs"}, "room": {"name": "room"}},
    "lamps": [{"pin": 1}, {"pin": 2}],
}


async def test_directories_and_arrays():
    fresh()
    async with build(HOUSE) as root:
        assert await call(root, ["rdy_"], True) == {"state": "ready"}
        assert await call(root, ["house", "room", "name"]) == "room"
        assert await call(root, ["lamps", 1, "get"]) == {"pin": 2}
        assert (await call(root, ["lamps", "dir_"]))["d"] == [0, 1]
        assert (await call(root, ["house", "dir_"]))["d"] == ["room"]
        with raises(NotFoundError):
            root.find(["lamps", 2, "get"])


async def test_a_directory_stops_and_starts_what_is_in_it():
    fresh()
    async with build(HOUSE) as root:
        await call(root, ["rdy_"], True)
        await call(root, ["house", "stp_"])
        assert log[-1] == "room gone"
        status = await call(root, ["rdy_"])
        assert status == {
            "state": "down",
            "apps": {"house": {"state": "down", "apps": {"room": {"state": "down"}}}},
        }
        with raises(NotReadyError) as info:
            await call(root, ["rdy_"], True)
        assert str(info.exc) == "the app 'house.room' is stopped"
        await call(root, ["house", "upd_"])
        assert await call(root, ["rdy_"], True) == {"state": "ready"}


async def test_a_lazy_app_is_made_when_it_is_used():
    fresh()
    async with build(one("Plain", pin=4, lazy=True)) as root:
        assert await call(root, ["rdy_"], True) == {"state": "ready"}
        assert log == []
        assert await call(root, ["a", "get"]) == {"pin": 4}
        assert await call(root, ["a", "get"]) == {"pin": 4}
        assert len(log) == 1


async def test_a_lazy_app_that_fails_says_so_when_it_is_used():
    async with build(one("Fails", lazy=True)) as root:
        with raises(ImportError) as info:
            root.find(["a", "get"])
        assert str(info.exc) == "the app 'a' cannot be loaded: ValueError: not today"
    async with build(one("Runs", lazy=True, name="x")) as root:
        with raises(ImportError) as info:
            root.find(["a", "get"])
        assert "it cannot be lazy" in str(info.exc)


async def test_other_nodes_stand_beside_the_apps():
    async with build({"apps": {"a": "_apps:Bare"}}, {"b": "_apps:Plain"}) as root:
        assert await call(root, ["b", "get"]) is None
        assert sorted(root.children()) == ["a", "b"]
        with raises(NotFoundError):
            root.find(["c", "get"])
    with raises(ValueError):
        build({"apps": {"b": "_apps:Bare"}}, {"b": "_apps:Plain"})


# ---- new settings


async def update(root, cfg):
    from moat.micro.cmd._entries import parse

    await root.update(parse(cfg))


async def test_an_update_touches_only_what_is_new():
    fresh()
    cfg = {
        "apps": {"a": "_apps:Runs", "b": "_apps:Runs", "c": "_apps:Runs"},
        "a": {"name": "a"},
        "b": {"name": "b"},
        "c": {"name": "c"},
    }
    async with build(cfg) as root:
        await call(root, ["rdy_"], True)
        await settle()
        log.clear()
        new = {
            "apps": {"a": "_apps:Runs", "b": "_apps:Runs", "d": "dir"},
            "a": {"name": "a"},
            "b": {"name": "bb"},
            "d": {"apps": {"e": "_apps:Bare"}},
        }
        await update(root, new)
        await call(root, ["rdy_"], True)
        await settle()
        gone = ["c cancelled", "c tear-down", "c gone", "b cancelled", "b tear-down", "b gone"]
        gone.extend(["bb set-up", "bb runs"])
        assert log == gone
        assert await call(root, ["d", "e", "get"]) == "bare"
        with raises(NotFoundError):
            root.find(["c", "name"])


async def test_an_update_makes_a_directory_of_an_app_and_back():
    plain = {"apps": {"a": "_apps:Bare"}}
    array = {"apps": {"a": "_apps:Plain"}, "a": [{"n": 1}]}
    async with build(plain) as root:
        await update(root, array)
        assert await call(root, ["a", 0, "get"]) == {"n": 1}
        await update(root, plain)
        assert await call(root, ["a", "get"]) == "bare"


async def test_an_app_can_take_new_settings_as_it_runs():
    fresh()
    async with build(one("Told")) as root:
        await call(root, ["a", "rdy_"], True)
        await settle()
        await update(root, one("Told", name="y"))
        assert log[2:] == ["told"]
        await update(root, one("Told", name="z", refuse=1))
        await call(root, ["a", "rdy_"], True)
        assert await call(root, ["a", "name"]) == "z"
        assert "x gone" in log
        await update(root, one("Plain", name="p"))
        assert await call(root, ["a", "get"]) == {"name": "p"}


async def test_an_update_is_done_although_its_caller_is_cancelled():
    fresh()
    go = gate("g")
    async with build(one(name="y", slow="g")) as root:
        await call(root, ["a", "rdy_"], True)
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(update, root, one(name="z"))
            await until(lambda: "y tear-down" in log)
            tasks.cancel()
        assert await state(root, "a") == "stopping"
        go.set()
        await until(lambda: "z runs" in log)


async def test_an_app_can_have_itself_started_anew():
    fresh()
    async with build({"apps": {"a": "_apps:Restless"}}) as root:
        await until(lambda: len(log) == 2)
        await settle()
        assert await state(root, "a") == "ready"


async def test_new_settings_that_do_not_work_are_told_by_the_state_only():
    told = []
    async with build(one("Plain", n=1), on_failed=lambda *what: told.append(what)) as root:
        await update(root, {"apps": {"a": "_apps:Fails"}})
        status = await call(root, ["a", "rdy_"])
        assert status == {"state": "failed", "error": "ValueError: not today"}
        await update(root, {"apps": {"a": "_apps:Bare"}})
        assert await call(root, ["a", "get"]) == "bare"
    assert told == []
