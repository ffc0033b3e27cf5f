"""The runtime's grace_ms: some time for last words."""

from _helpers import forever, raises, settle, until

from moat.micro import rt


async def test_grace_lets_the_body_end():
    log = []
    async with rt.grace_ms(5000):
        await settle()
        log.append("done")
    assert log == ["done"]


async def test_grace_gives_up_silently():
    log = []
    async with rt.grace_ms(2):
        await forever(log)
    await settle()
    assert log == ["ended"]


async def test_grace_raises_errors():
    with raises(KeyError):
        async with rt.grace_ms(5000):
            raise KeyError


async def test_grace_after_a_cancellation():
    log = []

    async def work():
        try:
            await forever()
        finally:
            async with rt.grace_ms(5000):
                await settle()
                log.append("last words")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == ["last words"]


async def test_grace_holds_a_cancellation_back():
    log = []

    async def work():
        async with rt.grace_ms(5000):
            log.append("start")
            await settle()
            log.append("end")
        await forever(log, "cancelled")
        log.append("went on")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await until(lambda: log)
        task.cancel()
    assert log == ["start", "end", "cancelled"]


async def test_grace_holds_groups_and_limits_back():
    log = []
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(5):
            async with rt.TaskGroup() as tg:

                async def canceller():
                    tg.cancel()

                tg.start_soon(canceller)
                async with rt.grace_ms(5000):
                    await rt.sleep_ms(20)
                    log.append("end")
                await forever(log, "cancelled")
            await forever(log, "outer")
    assert log[:2] == ["end", "cancelled"]


async def test_grace_holds_inner_limits_not_back():
    async with rt.grace_ms(5000):
        with raises(rt.TimeoutError):
            async with rt.timeout_ms(2):
                await forever()
        await settle()


async def test_grace_that_ends_lets_the_cancellation_through():
    log = []

    async def work():
        async with rt.grace_ms(5):
            await forever(log, "given up")
        await forever(log, "cancelled")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == ["given up", "cancelled"]
