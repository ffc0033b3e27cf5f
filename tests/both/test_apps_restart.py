"""Apps that fail: started anew, after longer and longer, and given up."""

from _apps import call, fresh, gate, log, one, state, swap
from _clock import Clock
from _helpers import raises, settle, until

from moat.micro.cmd.apps import build
from moat.micro.errors import NotReadyError


async def test_a_failed_app_is_started_anew_after_growing_delays_then_given_up():
    fresh()
    told = []
    cfg = one(fail="oops", restart={"jitter": 0})
    with Clock() as clock:
        async with build(cfg, on_failed=lambda *what: told.append(what)) as root:
            await until(lambda: clock.sleeping)
            status = await call(root, ["a", "rdy_"])
            assert status == {"state": "starting", "restarts": 1, "error": "ValueError: oops"}
            with raises(NotReadyError) as info:
                root.find(["a", "name"])
            assert str(info.exc) == "the app 'a' is being started: ValueError: oops"
            for _ in range(3):
                assert told == []
                await clock.next()
            await settle()
            assert clock.sleeps == [1000, 2000, 4000]
            assert told == [("a", "ValueError: oops")]
            status = await call(root, ["a", "rdy_"])
            assert status == {"state": "failed", "restarts": 3, "error": "ValueError: oops"}
    assert log.count("x runs") == 4
    assert log.count("x tear-down") == 4


async def test_a_set_up_that_fails_is_tried_again():
    fresh()
    with Clock() as clock:
        async with build(one(setup="no link", restart={"retries": 1, "jitter": 0})) as root:
            await until(lambda: clock.sleeping)
            await clock.next()
            await until(lambda: root.kept["a"].state == "failed")
    assert log == ["x set-up"] * 2


async def test_an_app_that_was_up_for_long_starts_anew_with_the_first_delay():
    fresh()
    gate("g")
    cfg = one(until="g", restart={"jitter": 0, "max_ms": 5000, "retries": 2})
    with Clock() as clock:
        async with build(cfg) as root:
            for up_ms, delay in ((0, 1000), (4999, 2000), (5000, 1000), (5000, 1000)):
                n = len(clock.sleeps)
                await until(lambda: log and log[-1] == "x runs")
                await clock.advance(up_ms)
                swap("g").set()
                await until(lambda n=n: len(clock.sleeps) > n)
                assert clock.sleeps[n] == delay
                await clock.next()
            assert (await call(root, ["a", "rdy_"], True))["restarts"] == 1


async def test_stop_ends_the_waiting_for_a_restart():
    fresh()
    with Clock() as clock:
        async with build(one(fail="oops")) as root:
            await until(lambda: clock.sleeping)
            await call(root, ["a", "stp_"])
            assert await call(root, ["a", "rdy_"]) == {"state": "down"}
            assert not clock.sleeping


async def test_an_app_that_is_not_to_be_restarted_stays_failed():
    fresh()
    told = []
    cfg = one(fail="oops", restart=False)
    async with build(cfg, on_failed=lambda *what: told.append(what)) as root:
        await until(lambda: root.kept["a"].state == "failed")
    assert log.count("x runs") == 1
    assert told == []


async def test_an_app_that_is_not_essential_is_not_told_of():
    told = []
    cfg = {"apps": {"a": "_apps:Fails"}, "a": {"restart": {"essential": False}}}
    async with build(cfg, on_failed=lambda *what: told.append(what)) as root:
        assert await state(root, "a") == "failed"
    assert told == []


async def test_a_restarted_app_is_a_new_object():
    fresh()
    gate("g")
    with Clock() as clock:
        async with build(one(until="g")) as root:
            await call(root, ["a", "rdy_"], True)
            first = root.child("a")
            old = swap("g")
            await until(lambda: "x runs" in log)
            old.set()
            await until(lambda: clock.sleeping)
            await clock.next()
            await call(root, ["a", "rdy_"], True)
            assert root.child("a") is not first


async def test_a_long_set_up_that_fails_is_no_time_of_being_up():
    fresh()
    gate("g").set()
    cfg = one("Once", restart={"jitter": 0, "retries": 2, "max_ms": 5000})
    with Clock() as clock:
        async with build(cfg) as root:
            while root.kept["a"].state != "failed":
                await until(lambda: clock.sleeping or root.kept["a"].state == "failed")
                if clock.sleeping:
                    await clock.next()
            assert clock.sleeps == [1000, 60000, 2000, 60000]


async def test_an_app_that_ends_without_an_error_is_started_anew_as_well():
    fresh()
    with Clock() as clock:
        async with build(one("Swallows")) as root:
            await until(lambda: clock.sleeping)
            assert log == ["swallowed"]
            status = await call(root, ["a", "rdy_"])
            assert status["error"] == "RuntimeError: it has ended by itself"
