"""The runtime's TaskGroup: waiting and errors."""

from _helpers import fail, forever, raises, settle, until

from moat.micro import rt

DEVICE_ONLY = (
    "test_leaves_no_task_behind",
    "test_uses_no_more_memory_after_many_tasks",
)


# ---- waiting


async def test_waits_for_all():
    log = []

    async def work(n):
        for _ in range(n):
            await rt.sleep_ms(1)
        log.append(n)

    async with rt.TaskGroup() as tg:
        for n in (3, 1, 2):
            tg.start_soon(work, n)
        log.append("body")
    assert sorted(log[1:]) == [1, 2, 3]
    assert log[0] == "body"


async def test_empty_group_ends():
    async with rt.TaskGroup():
        pass


async def test_does_not_run_a_task_at_once():
    log = []

    async def work():
        log.append(1)

    async with rt.TaskGroup() as tg:
        tg.start_soon(work)
        assert log == []
    assert log == [1]


async def test_task_may_start_tasks():
    log = []

    async def work(tg, n):
        await rt.sleep_ms(0)
        log.append(n)
        if n:
            tg.start_soon(work, tg, n - 1)

    async with rt.TaskGroup() as tg:
        tg.start_soon(work, tg, 3)
    assert log == [3, 2, 1, 0]


async def test_start_after_the_end_is_an_error():
    async with rt.TaskGroup() as tg:
        pass
    with raises(RuntimeError):
        tg.start_soon(settle)


async def test_start_after_a_failed_end_is_an_error():
    with raises(KeyError):
        async with rt.TaskGroup() as tg:
            raise KeyError
    with raises(RuntimeError):
        tg.start_soon(settle)


async def test_start_before_the_beginning_is_an_error():
    tg = rt.TaskGroup()
    with raises(RuntimeError):
        tg.start_soon(settle)


async def test_start_of_what_is_no_task_is_an_error():
    def plain():
        pass

    async with rt.TaskGroup() as tg:
        with raises(TypeError):
            tg.start_soon(plain)
        with raises(TypeError):
            tg.start_soon(fail, 1, 2, 3)


# ---- errors


async def test_error_of_a_task_is_raised_as_itself():
    error = ValueError("task")
    with raises(ValueError) as r:
        async with rt.TaskGroup() as tg:
            tg.start_soon(fail, error)
    assert r.exc is error


async def test_error_of_a_task_cancels_the_others_and_the_body():
    log = []
    with raises(ValueError):
        async with rt.TaskGroup() as tg:
            tg.start_soon(forever, log, "a")
            tg.start_soon(forever, log, "b")
            await settle()
            tg.start_soon(fail, ValueError())
            await forever(log, "body")
    assert sorted(log) == ["a", "b", "body"]


async def test_error_of_a_task_while_the_body_is_done():
    log = []
    with raises(ValueError):
        async with rt.TaskGroup() as tg:
            tg.start_soon(forever, log)
            await settle()
            tg.start_soon(fail, ValueError())
    assert log == ["ended"]


async def test_error_of_the_body_is_raised_as_itself():
    log = []
    error = KeyError("body")
    with raises(KeyError) as r:
        async with rt.TaskGroup() as tg:
            tg.start_soon(forever, log)
            await settle()
            raise error
    assert r.exc is error
    assert log == ["ended"]


async def test_several_errors_are_a_group():
    async def late(exc):
        try:
            await forever()
        finally:
            raise exc

    with raises(rt.ExceptionGroup) as r:
        async with rt.TaskGroup() as tg:
            tg.start_soon(late, KeyError("late"))
            await settle()
            tg.start_soon(fail, ValueError("first"))
            await forever()
    assert [type(e) for e in r.exc.exceptions] == [ValueError, KeyError]


async def test_errors_of_body_and_task_are_a_group():
    async def late():
        try:
            await forever()
        finally:
            raise KeyError("late")

    with raises(rt.ExceptionGroup) as r:
        async with rt.TaskGroup() as tg:
            tg.start_soon(late)
            await settle()
            raise ValueError("body")
    assert [type(e) for e in r.exc.exceptions] == [ValueError, KeyError]


async def test_single_error_of_a_nested_group_stays_itself():
    error = ValueError("inner")

    async def inner():
        async with rt.TaskGroup() as tg:
            tg.start_soon(fail, error)

    with raises(ValueError) as r:
        async with rt.TaskGroup() as tg:
            tg.start_soon(inner)
            await forever()
    assert r.exc is error


async def test_group_of_errors_of_a_nested_group_stays_itself():
    async def late():
        try:
            await forever()
        finally:
            raise KeyError

    async def inner():
        async with rt.TaskGroup() as tg:
            tg.start_soon(late)
            await settle()
            tg.start_soon(fail, ValueError())

    with raises(rt.ExceptionGroup) as r:
        async with rt.TaskGroup() as tg:
            tg.start_soon(inner)
    assert {type(e) for e in r.exc.exceptions} == {ValueError, KeyError}


async def test_error_can_be_caught_and_the_task_goes_on():
    for _ in range(3):
        with raises(ValueError):
            async with rt.TaskGroup() as tg:
                tg.start_soon(fail, ValueError())
                await forever()
    await settle()


async def test_error_is_raised_once():
    log = []

    async def work():
        with raises(ValueError):
            async with rt.TaskGroup() as tg:
                tg.start_soon(fail, ValueError())
                await forever()
        log.append("handled")

    async with rt.TaskGroup() as tg:
        tg.start_soon(work)
        await until(lambda: log)
        await settle()
        log.append("body")
    assert log == ["handled", "body"]


# ---- memory


async def test_leaves_no_task_behind():
    from asyncio import core

    async with rt.TaskGroup() as outer:
        for _ in range(3):
            outer.start_soon(forever)
        await settle()
        async with rt.TaskGroup() as tg:
            tg.start_soon(settle)
            tg.cancel()
        outer.cancel()
    assert core._task_queue.peek() is None
    assert not core._io_queue.map
    assert not rt._open


async def test_uses_no_more_memory_after_many_tasks():
    import gc

    async def some(n):
        async with rt.TaskGroup() as outer:
            for _ in range(n):
                async with rt.TaskGroup() as tg:
                    task = outer.start_soon(forever)
                    tg.start_soon(settle)
                    await rt.sleep_ms(0)
                    task.cancel()

    await some(5)
    gc.collect()
    before = gc.mem_alloc()
    await some(200)
    gc.collect()
    assert gc.mem_alloc() - before < 500
