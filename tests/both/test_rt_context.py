"""The runtime's asynccontextmanager."""

from _helpers import raises, settle

from moat.micro import rt


@rt.asynccontextmanager
async def logged(log, name="x"):
    """Wait and log on both sides of the body."""
    log.append("enter")
    await rt.sleep_ms(0)
    try:
        yield name
    finally:
        log.append("exit")


async def test_value_enter_and_exit():
    log = []
    async with logged(log, "value") as x:
        assert x == "value"
        assert log == ["enter"]
    assert log == ["enter", "exit"]


async def test_can_be_made_several_times():
    log = []
    for n in range(1, 3):
        async with logged(log, n) as x:
            assert x == n
    assert log == ["enter", "exit"] * 2


async def test_waits_after_the_body():
    log = []

    @rt.asynccontextmanager
    async def ctx():
        yield 1
        await rt.sleep_ms(1)
        await settle()
        log.append("waited")

    async with ctx():
        pass
    assert log == ["waited"]


async def test_takes_self_and_keywords():
    class Thing:
        @rt.asynccontextmanager
        async def _ctx(self, a, b=2):
            yield (self, a, b)

    thing = Thing()
    async with thing._ctx(1, b=3) as got:
        assert got == (thing, 1, 3)


async def test_nests():
    log = []

    @rt.asynccontextmanager
    async def outer():
        async with logged(log, "inner") as x:
            log.append("outer")
            yield x
            log.append("outer exit")

    async with outer() as x:
        assert x == "inner"
    assert log == ["enter", "outer", "outer exit", "exit"]


async def test_error_of_the_body_is_raised_inside_and_outside():
    log = []
    error = ValueError("body")
    with raises(ValueError) as r:
        async with logged(log):
            await rt.sleep_ms(0)
            raise error
    assert r.exc is error
    assert log == ["enter", "exit"]


async def test_error_can_be_suppressed():
    @rt.asynccontextmanager
    async def ctx():
        try:
            yield 1
        except KeyError:
            await rt.sleep_ms(1)

    async with ctx():
        raise KeyError(1)
    with raises(ValueError):
        async with ctx():
            raise ValueError


async def test_error_can_be_replaced():
    @rt.asynccontextmanager
    async def ctx():
        try:
            yield 1
        except KeyError:
            raise ValueError("instead")

    with raises(ValueError):
        async with ctx():
            raise KeyError


async def test_error_before_the_yield():
    @rt.asynccontextmanager
    async def ctx():
        await rt.sleep_ms(0)
        raise KeyError("early")
        yield 1

    with raises(KeyError):
        async with ctx():
            raise AssertionError("the body ran")


async def test_error_after_the_yield():
    @rt.asynccontextmanager
    async def ctx():
        yield 1
        await rt.sleep_ms(0)
        raise KeyError("late")

    with raises(KeyError):
        async with ctx():
            pass


async def test_not_yielding_is_an_error():
    @rt.asynccontextmanager
    async def ctx(go):
        await rt.sleep_ms(0)
        if go:
            yield 1

    with raises(RuntimeError):
        async with ctx(False):
            raise AssertionError("the body ran")


async def test_yielding_twice_is_an_error():
    log = []

    @rt.asynccontextmanager
    async def ctx():
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    with raises(RuntimeError):
        async with ctx():
            pass
    assert log == ["closed"]


async def test_yielding_again_after_an_error_is_an_error():
    @rt.asynccontextmanager
    async def ctx():
        try:
            yield 1
        except ValueError:
            yield 2

    with raises(RuntimeError):
        async with ctx():
            raise ValueError


async def test_stop_iteration_in_the_body_stays_an_error():
    with raises(StopIteration, RuntimeError):
        async with logged([]):
            raise StopIteration


async def test_cancelled_in_the_body():
    log = []

    async def work():
        async with logged(log):
            log.append("body")
            await rt.sleep_ms(10000)
        log.append("went on")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == ["enter", "body", "exit"]


async def test_cancelled_while_entering():
    log = []

    @rt.asynccontextmanager
    async def ctx():
        try:
            await rt.sleep_ms(10000)
            yield 1
        finally:
            log.append("cleaned up")

    async def work():
        async with ctx():
            log.append("body")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == ["cleaned up"]


async def test_cancelled_while_leaving():
    log = []

    @rt.asynccontextmanager
    async def ctx():
        try:
            yield 1
            await rt.sleep_ms(10000)
        finally:
            log.append("cleaned up")

    async def work():
        async with ctx():
            pass
        log.append("went on")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == ["cleaned up"]


async def test_time_limit_over_the_yield():
    @rt.asynccontextmanager
    async def ctx():
        async with rt.timeout_ms(5):
            yield 1

    with raises(rt.TimeoutError):
        async with ctx():
            await rt.sleep_ms(10000)


async def test_group_over_the_yield():
    log = []

    async def work():
        try:
            await rt.sleep_ms(10000)
        finally:
            log.append("cancelled")

    @rt.asynccontextmanager
    async def ctx():
        async with rt.TaskGroup() as tg:
            tg.start_soon(work)
            yield tg
            tg.cancel()

    async with ctx():
        await settle()
    assert log == ["cancelled"]


async def test_error_of_a_task_cancels_the_body():
    async def work():
        await rt.sleep_ms(1)
        raise KeyError("task")

    @rt.asynccontextmanager
    async def ctx():
        async with rt.TaskGroup() as tg:
            tg.start_soon(work)
            yield tg

    with raises(KeyError):
        async with ctx():
            await rt.sleep_ms(10000)
            raise AssertionError("the body went on")
