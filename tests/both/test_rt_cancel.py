"""The runtime's TaskGroup: cancelling a task, or the whole group."""

from _helpers import ON_DEVICE, fail, forever, raises, settle

from moat.micro import rt

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
        except BaseException:  # bad style; it must not break the group
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


async def test_cancel_before_entering_does_nothing():
    log = []
    tg = rt.TaskGroup()
    tg.cancel()
    async with tg:
        await settle()
        log.append("body")
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

    async with rt.TaskGroup() as outer, rt.TaskGroup() as tg:

        async def canceller():
            tg.cancel()
            await rt.sleep_ms(0)
            tg.cancel()

        tg.start_soon(work)
        await settle()
        outer.start_soon(canceller)
    assert log == ["cancelled", "cleaned up"]


async def test_cancel_twice_interrupts_the_body_once():
    log = []
    async with rt.TaskGroup() as outer, rt.TaskGroup() as tg:

        async def canceller():
            tg.cancel()
            await rt.sleep_ms(0)
            tg.cancel()

        outer.start_soon(canceller)
        try:
            await forever()
        finally:
            if ON_DEVICE:
                await settle()
            log.append("cleaned up")
    assert log == ["cleaned up"]


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
