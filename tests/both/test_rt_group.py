"""The runtime's TaskGroup."""

from _helpers import ON_DEVICE, fail, forever, raises, settle, until

from moat.micro import rt

DEVICE_ONLY = (
    "test_cancels_a_task_that_waits_for_an_asyncio_task",
    "test_cancel_from_an_asyncio_task_that_the_body_waits_for",
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


# ---- cancelling one task


async def test_cancelling_a_task_leaves_the_others():
    log = []
    async with rt.TaskGroup() as tg:
        a = tg.start_soon(forever, log, "a")
        b = tg.start_soon(forever, log, "b")
        await settle()
        a.cancel()
        await settle()
        assert log == ["a"]
        b.cancel()
    assert log == ["a", "b"]


async def test_cancelling_a_task_before_its_first_step():
    log = []

    async def work():
        await settle()
        log.append("ran")

    async with rt.TaskGroup() as tg:
        tg.start_soon(work).cancel()
        log.append("body")
    assert log == ["body"]


async def test_cancelling_a_task_that_has_ended_does_nothing():
    async with rt.TaskGroup() as tg:
        task = tg.start_soon(settle)
    task.cancel()
    await settle()


async def test_cancelling_a_task_that_has_failed_does_nothing():
    with raises(ValueError):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(fail, ValueError())
    task.cancel()
    await settle()


async def test_cancelling_a_task_twice_interrupts_it_once():
    log = []

    async def work():
        try:
            await forever()
        finally:
            log.append("cancelled")
            if ON_DEVICE:
                await settle()
            log.append("cleaned up")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
        await rt.sleep_ms(0)
        task.cancel()
        await rt.sleep_ms(0)
        tg.cancel()
    assert log == ["cancelled", "cleaned up"]


async def test_task_can_cancel_itself():
    log = []
    tasks = []

    async def work():
        tasks[0].cancel()
        log.append("runs on")
        await settle()
        log.append("went on")

    async with rt.TaskGroup() as tg:
        tasks.append(tg.start_soon(work))
        tg.start_soon(forever, log, "other")
        await settle()
        log.append("body")
        tg.cancel()
    assert log == ["runs on", "body", "other"]


async def test_task_that_cancels_itself_and_ends_has_ended():
    tasks = []

    async def work():
        tasks[0].cancel()

    async with rt.TaskGroup() as tg:
        tasks.append(tg.start_soon(work))
        await settle()


async def test_task_that_swallows_its_cancellation_may_end():
    async def work():
        try:
            await forever()
        except BaseException:  # noqa: BLE001, S110 -- bad style; it must not break the group
            return

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()


async def test_cancelling_a_task_cancels_its_own_group():
    log = []

    async def work():
        async with rt.TaskGroup() as tg:
            tg.start_soon(forever, log, "a")
            tg.start_soon(forever, log, "b")
            await forever(log, "body")
        log.append("went on")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert sorted(log) == ["a", "b", "body"]


async def test_error_after_being_cancelled_counts():
    async def work():
        try:
            await forever()
        finally:
            raise KeyError("clean-up")

    with raises(KeyError):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(work)
            await settle()
            task.cancel()
            await forever()


# ---- cancelling the group


async def test_cancel_in_the_body_ends_tasks_and_body():
    log = []
    async with rt.TaskGroup() as tg:
        tg.start_soon(forever, log, "a")
        await settle()
        tg.cancel()
        log.append("body runs on")
        await settle()
        log.append("body went on")
    assert log[0] == "body runs on"
    assert log[1:] == ["a"]


async def test_cancel_at_the_end_of_the_body():
    log = []
    async with rt.TaskGroup() as tg:
        tg.start_soon(forever, log, "a")
        await settle()
        tg.cancel()
    log.append("after")
    await settle()
    assert log == ["a", "after"]


async def test_cancel_by_a_task_ends_that_task_too():
    log = []

    async def work(tg):
        tg.cancel()
        log.append("runs on")
        await settle()
        log.append("went on")

    async with rt.TaskGroup() as tg:
        tg.start_soon(forever, log, "other")
        await settle()
        tg.start_soon(work, tg)
        await forever(log, "body")
    assert log[0] == "runs on"
    assert sorted(log[1:]) == ["body", "other"]


async def test_cancel_from_outside_while_the_body_runs():
    log = []
    groups = []

    async def work():
        async with rt.TaskGroup() as tg:
            groups.append(tg)
            tg.start_soon(forever, log, "task")
            await forever(log, "body")
        log.append("after")

    async with rt.TaskGroup() as tg:
        tg.start_soon(work)
        await settle()
        groups[0].cancel()
    assert sorted(log[:2]) == ["body", "task"]
    assert log[2] == "after"


async def test_cancel_from_outside_while_the_body_is_done():
    log = []
    groups = []

    async def work():
        async with rt.TaskGroup() as tg:
            groups.append(tg)
            tg.start_soon(forever, log, "task")
        log.append("after")

    async with rt.TaskGroup() as tg:
        tg.start_soon(work)
        await settle()
        groups[0].cancel()
    assert log == ["task", "after"]


async def test_cancel_before_entering_ends_the_body_at_its_first_wait():
    log = []
    tg = rt.TaskGroup()
    tg.cancel()
    async with tg:
        log.append("body")
        await settle()
        log.append("went on")
    assert log == ["body"]


async def test_cancel_after_leaving_does_nothing():
    async with rt.TaskGroup() as tg:
        pass
    tg.cancel()
    await settle()


async def test_cancel_twice_interrupts_once():
    log = []

    async def work():
        try:
            await forever()
        finally:
            log.append("cancelled")
            if ON_DEVICE:
                await settle()
            log.append("cleaned up")

    async with rt.TaskGroup() as outer:
        async with rt.TaskGroup() as tg:

            async def canceller():
                tg.cancel()
                await rt.sleep_ms(0)
                tg.cancel()

            tg.start_soon(work)
            await settle()
            outer.start_soon(canceller)
    assert log == ["cancelled", "cleaned up"]


async def test_error_during_the_clean_up_leaves_the_clean_up_of_the_others_alone():
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

    with raises(ValueError):
        async with rt.TaskGroup() as tg:
            tg.start_soon(slow)
            tg.start_soon(bad)
            await settle()
            tg.cancel()
    assert log == ["cleaned up"]


async def test_task_started_in_a_cancelled_group_stops_at_its_first_wait():
    log = []
    async with rt.TaskGroup() as tg:
        tg.cancel()
        tg.start_soon(forever, log)
    assert log == ([] if ON_DEVICE else ["ended"])


async def test_cancelling_a_group_ends_the_body_within_a_nested_group():
    log = []
    groups = []

    async def work():
        async with rt.TaskGroup() as outer:
            groups.append(outer)
            async with rt.TaskGroup() as inner:
                inner.start_soon(forever, log, "inner task")
            log.append("went on in the outer group")
            await settle()
            log.append("went on too long")
        log.append("after")

    async with rt.TaskGroup() as tg:
        tg.start_soon(work)
        await settle()
        groups[0].cancel()
    assert log == ["inner task", "after"]


async def test_cancelling_the_inner_group_leaves_the_outer():
    log = []
    async with rt.TaskGroup() as outer:
        outer.start_soon(forever, log, "outer task")
        async with rt.TaskGroup() as inner:
            inner.start_soon(forever, log, "inner task")
            await settle()
            inner.cancel()
            await forever(log, "inner body")
        assert sorted(log) == ["inner body", "inner task"]
        await settle()
        assert "outer task" not in log
        outer.cancel()
    assert log[2:] == ["outer task"]


async def test_two_nested_groups_cancelled_at_once():
    log = []
    async with rt.TaskGroup() as outer:
        async with rt.TaskGroup() as inner:

            async def both(first, second):
                first.cancel()
                second.cancel()

            outer.start_soon(both, inner, outer)
            await forever(log, "body")
        log.append("went on")
        await settle()
        log.append("went on too long")
    assert log[0] == "body"
    assert "went on too long" not in log


async def test_two_nested_groups_cancelled_at_once_the_outer_first():
    log = []
    async with rt.TaskGroup() as outer:
        async with rt.TaskGroup() as inner:

            async def both(first, second):
                first.cancel()
                second.cancel()

            inner.start_soon(both, outer, inner)
            await forever(log, "body")
        await settle()
        log.append("went on too long")
    assert log == ["body"]


# ---- cancelled from outside


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

    async def work():
        async with rt.timeout_ms(30):
            async with rt.timeout_ms(10):
                async with rt.TaskGroup() as tg:
                    tg.start_soon(stuck)

    with raises(rt.TimeoutError):
        await work()
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


# ---- MicroPython's own pitfalls


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
