"""The runtime beside MicroPython's own asyncio, on the device only."""

from _helpers import fail, forever, raises, settle, until

from moat.micro import rt

DEVICE_ONLY = (
    "test_cancels_a_task_that_waits_for_an_asyncio_task",
    "test_cancel_from_an_asyncio_task_that_the_body_waits_for",
    "test_asyncio_cancellation_wins",
    "test_asyncio_cancellation_at_the_moment_of_the_limit_wins",
    "test_asyncio_cancellation_of_a_group_is_not_replaced_by_a_limit",
    "test_interrupt_leaves_no_scope_behind",
    "test_ends_a_wait_for_an_asyncio_task",
    "test_works_around_wait_for",
    "test_limit_that_is_too_long_is_an_error",
    "test_leaves_no_timer_behind",
)


async def test_cancels_a_task_that_waits_for_an_asyncio_task():
    from asyncio import core

    log = []

    async def work():
        await core.create_task(forever(log, "waited for"))

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == ["waited for"]


async def test_cancel_from_an_asyncio_task_that_the_body_waits_for():
    from asyncio import core

    log = []

    async def helper(tg):
        tg.cancel()
        log.append("helper runs on")
        await forever(log, "helper")

    async with rt.TaskGroup() as tg:
        await core.create_task(helper(tg))
        log.append("went on")
    assert log == ["helper runs on", "helper"]


async def test_asyncio_cancellation_wins():
    from asyncio import CancelledError, core

    log = []

    async def work():
        try:
            async with rt.timeout_ms(2):
                await rt.Event().wait()
        except rt.TimeoutError:
            log.append("time-out")
        except CancelledError:
            log.append("cancelled")
            raise
        await forever()

    for ms in (1, 2, 3) * 5:
        task = core.create_task(work())
        await rt.sleep_ms(ms)
        task.cancel()
        async with rt.timeout_ms(1000):
            try:
                await task
            except CancelledError:
                pass
    assert log


async def test_asyncio_cancellation_at_the_moment_of_the_limit_wins():
    from asyncio import CancelledError, core

    async def work():
        async with rt.timeout_ms(5):
            try:
                await forever()
            finally:
                await rt.sleep_ms(20)

    task = core.create_task(work())
    await rt.sleep_ms(1)
    start = rt.ticks_ms()
    while rt.ticks_diff(rt.ticks_ms(), start) < 10:
        pass
    task.cancel()  # the limit is due already, but the loop had no chance to see to it
    with raises(CancelledError):
        await task


async def test_asyncio_cancellation_of_a_group_is_not_replaced_by_a_limit():
    from asyncio import CancelledError, core

    log = []
    limit = rt.timeout_ms(60000)

    async def slow():
        try:
            await forever()
        finally:
            log.append("clean-up")
            await forever()

    async def work():
        async with limit, rt.TaskGroup() as tg:
            tg.start_soon(slow)

    task = core.create_task(work())
    await settle()
    task.cancel()
    await until(lambda: log)
    limit._strike()
    with raises(CancelledError):
        await task


async def test_ends_a_wait_for_an_asyncio_task():
    from asyncio import core

    log = []
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(2):
            await core.create_task(forever(log))
    assert log == ["ended"]


async def test_works_around_wait_for():
    from asyncio import wait_for_ms

    async with rt.timeout_ms(1000):
        with raises(rt.TimeoutError):
            await wait_for_ms(forever(), 2)
        assert await wait_for_ms(settle(), 1000) is None


async def test_limit_that_is_too_long_is_an_error():
    with raises(OverflowError):
        async with rt.timeout_ms(1 << 62):
            pass
    await settle()


async def test_leaves_no_timer_behind():
    import gc
    from asyncio import core

    async def some(n):
        for _ in range(n):
            async with rt.timeout_ms(10000), rt.grace_ms(10000):
                await rt.sleep_ms(0)

    await some(5)
    gc.collect()
    before = gc.mem_alloc()
    await some(200)
    gc.collect()
    assert gc.mem_alloc() - before < 500
    assert core._task_queue.peek() is None
    assert not rt._open


def test_interrupt_leaves_no_scope_behind():
    async def interrupted():
        async with rt.timeout_ms(1000), rt.TaskGroup() as tg:
            tg.start_soon(fail, KeyboardInterrupt())

    async def scopes():
        return len(rt._open)

    with raises(KeyboardInterrupt):
        rt.run(interrupted)
    assert rt.run(scopes) == 0
