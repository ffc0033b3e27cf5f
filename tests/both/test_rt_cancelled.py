"""The runtime's TaskGroup: cancelled from outside."""

from _helpers import ON_DEVICE, fail, forever, raises, settle, until

from moat.micro import rt


async def test_cancelled_from_outside_waits_for_its_tasks():
    log = []

    async def slow():
        try:
            await forever()
        finally:
            if ON_DEVICE:
                await settle()
            log.append("task")

    async def work():
        try:
            async with rt.TaskGroup() as tg:
                tg.start_soon(slow)
                tg.start_soon(slow)
                await forever()
        finally:
            log.append("group")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == ["task", "task", "group"]


async def test_cancelled_from_outside_while_it_waits_for_its_tasks():
    log = []

    async def work():
        async with rt.TaskGroup() as tg:
            tg.start_soon(forever, log, "a")
            tg.start_soon(forever, log, "b")
        log.append("went on")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert sorted(log) == ["a", "b"]


async def test_error_in_the_clean_up_leaves_the_clean_up_of_the_others_alone():
    log = []

    async def slow():
        try:
            await forever()
        finally:
            if ON_DEVICE:
                await settle()
            log.append("cleaned up")

    async def bad():
        try:
            await forever()
        finally:
            raise ValueError

    async def work():
        async with rt.TaskGroup() as tg:
            tg.start_soon(slow)
            tg.start_soon(bad)

    with raises(ValueError):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(work)
            await settle()
            task.cancel()
    assert log == ["cleaned up"]


async def test_cancelled_from_outside_while_a_task_fails():
    async def work():
        async with rt.TaskGroup() as tg:
            tg.start_soon(fail, ValueError())
            await forever()

    for waits in range(4):
        try:
            async with rt.TaskGroup() as tg:
                task = tg.start_soon(work)
                for _ in range(waits):
                    await rt.sleep_ms(0)
                task.cancel()
        except ValueError:
            pass


async def test_error_of_a_task_wins_over_a_cancellation_from_outside():
    async def bad():
        try:
            await forever()
        finally:
            raise KeyError("clean-up")

    async def work():
        async with rt.TaskGroup() as tg:
            tg.start_soon(bad)
            await forever()

    with raises(KeyError):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(work)
            await settle()
            task.cancel()


async def test_error_of_the_body_survives_a_cancellation_while_waiting():
    log = []
    event = rt.Event()

    async def slow():
        try:
            await forever()
        finally:
            log.append("slow")
            if ON_DEVICE:
                await event.wait()

    async def work():
        async with rt.TaskGroup() as tg:
            tg.start_soon(slow)
            await settle()
            raise ValueError("body")

    with raises(ValueError):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(work)
            await until(lambda: log)
            task.cancel()
            await rt.sleep_ms(0)
            event.set()
    assert log == ["slow"]


async def test_second_cancellation_from_outside_ends_a_clean_up_that_hangs():
    log = []

    async def stuck():
        try:
            await forever()
        finally:
            log.append("cleaning up")
            if ON_DEVICE:
                await forever()

    async with rt.TaskGroup() as second:

        async def canceller(first):
            first.cancel()
            await until(lambda: log)
            second.cancel()

        async with rt.TaskGroup() as first, rt.TaskGroup() as tg:
            tg.start_soon(stuck)
            await settle()
            second.start_soon(canceller, first)
    assert log == ["cleaning up"]


async def test_deeply_nested_groups_are_cancelled():
    log = []

    async def nest(n):
        try:
            async with rt.TaskGroup() as tg:
                if n:
                    tg.start_soon(nest, n - 1)
                    tg.start_soon(nest, n - 1)
                else:
                    await forever()
        finally:
            log.append(n)

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(nest, 3)
        await settle()
        task.cancel()
    assert sorted(log) == [0] * 8 + [1] * 4 + [2] * 2 + [3]
