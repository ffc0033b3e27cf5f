"""The runtime's CancelScope."""

from _helpers import fail, forever, raises, settle, until

from moat.micro import rt


async def test_cancel_ends_the_body_where_it_waits():
    log = []
    scopes = []

    async def work():
        with rt.CancelScope() as scope:
            scopes.append(scope)
            await forever(log)
        log.append("goes on")

    async with rt.TaskGroup() as tg:
        tg.start_soon(work)
        await until(lambda: scopes)
        await settle()
        scopes[0].cancel()
    assert log == ["ended", "goes on"]


async def test_a_body_that_cancels_itself_ends_at_its_next_wait():
    log = []
    with rt.CancelScope() as scope:
        scope.cancel()
        log.append("runs on")
        await rt.Event().wait()
        log.append("waited")
    await settle()
    assert log == ["runs on"]


async def test_a_body_that_is_not_cancelled_ends_as_usual():
    with rt.CancelScope() as scope:
        await settle()
    scope.cancel()  # too late
    await settle()


async def test_errors_of_the_body_are_raised():
    with raises(ValueError), rt.CancelScope():
        await fail(ValueError())
    with raises(ValueError), rt.CancelScope() as scope:
        scope.cancel()
        try:
            await rt.sleep_ms(10000)
        finally:
            raise ValueError


async def test_a_cancellation_from_outside_wins():
    for inner_first in (False, True):
        log = []
        scopes = []

        async def work(scopes=scopes, log=log):
            with rt.CancelScope() as scope:
                scopes.append(scope)
                await forever(log)
            log.append("goes on")
            await rt.sleep_ms(0)
            log.append("goes on for ever")

        async with rt.TaskGroup() as tg:
            task = tg.start_soon(work)
            await until(lambda scopes=scopes: scopes)
            await settle()
            if inner_first:
                scopes[0].cancel()
            task.cancel()
            if not inner_first:
                scopes[0].cancel()
        assert log[0] == "ended"
        assert "goes on for ever" not in log


async def test_cancelling_an_outer_scope_leaves_the_inner_one():
    log = []
    with rt.CancelScope() as outer:
        with rt.CancelScope():
            outer.cancel()
            await rt.sleep_ms(10000)
        log.append("left the inner one")
        await rt.sleep_ms(10000)
        log.append("left the outer one")
    assert "left the outer one" not in log


async def test_a_time_limit_inside_and_outside():
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(2):
            with rt.CancelScope():
                await rt.sleep_ms(10000)
    with rt.CancelScope() as scope:
        with raises(rt.TimeoutError):
            async with rt.timeout_ms(2):
                await rt.sleep_ms(10000)
        scope.cancel()
        await rt.sleep_ms(10000)
        raise AssertionError


async def test_a_shield_holds_back_a_cancellation_from_outside():
    log = []
    go = rt.Event()

    async def work():
        with rt.CancelScope(shield=True):
            await go.wait()
            await settle()
            log.append("done")
        await rt.sleep_ms(10000)
        log.append("goes on")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
        await settle()
        assert log == []
        go.set()
    assert log == ["done"]


async def test_a_shielded_body_is_cancelled_by_its_own_scope():
    log = []
    scopes = []

    async def work():
        with rt.CancelScope(shield=True) as scope:
            scopes.append(scope)
            await forever(log)
        log.append("goes on")
        await rt.sleep_ms(10000)
        log.append("goes on for ever")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
        await settle()
        assert log == []
        scopes[0].cancel()
    assert log == ["ended", "goes on"]
