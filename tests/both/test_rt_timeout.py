"""The runtime's time limit, timeout_ms."""

from _helpers import ON_DEVICE, fail, forever, raises, settle, until

from moat.micro import rt


async def test_ends_a_body_that_takes_too_long():
    start = rt.ticks_ms()
    with raises(rt.TimeoutError) as r:
        async with rt.timeout_ms(20):
            await rt.sleep_ms(10000)
            raise AssertionError("went on")
    assert 19 <= rt.ticks_diff(rt.ticks_ms(), start) < 5000
    assert str(r.exc) == "not done within 20 ms"


async def test_leaves_a_body_that_is_in_time():
    async with rt.timeout_ms(10000):
        await settle()


async def test_does_not_strike_afterwards():
    async with rt.timeout_ms(1):
        pass
    await rt.sleep_ms(5)


async def test_error_of_the_body_is_raised():
    with raises(ValueError):
        async with rt.timeout_ms(10000):
            await settle()
            raise ValueError


async def test_clean_up_of_the_body_runs():
    log = []
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(2):
            await forever(log)
    assert log == ["ended"]


async def test_error_of_the_clean_up_is_raised():
    with raises(KeyError):
        async with rt.timeout_ms(2):
            try:
                await forever()
            finally:
                raise KeyError


async def test_zero_ends_the_first_wait():
    for ms in (0, -5):
        with raises(rt.TimeoutError):
            async with rt.timeout_ms(ms):
                await rt.Event().wait()
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(0):
            await rt.sleep_ms(0)
            await rt.sleep_ms(0)


async def test_zero_lets_pass_what_does_not_wait():
    event = rt.Event()
    event.set()
    async with rt.timeout_ms(0):
        await event.wait()


async def test_late_but_without_waiting_is_in_time():
    start = rt.ticks_ms()
    async with rt.timeout_ms(1):
        while rt.ticks_diff(rt.ticks_ms(), start) < 5:
            pass
    await settle()


async def test_ends_at_the_moment_the_body_ends():
    # Whichever wins: it is one of two outcomes, and the task goes on undisturbed.
    outcomes = set()
    for ms in (1, 2, 3) * 10:
        try:
            async with rt.timeout_ms(2):
                await rt.sleep_ms(ms)
            outcomes.add("in time")
        except rt.TimeoutError:
            outcomes.add("too late")
        await rt.sleep_ms(1)
    assert outcomes


async def test_can_be_used_again():
    for _ in range(3):
        with raises(rt.TimeoutError):
            async with rt.timeout_ms(1):
                await forever()
        await settle()


async def test_inner_limit():
    async with rt.timeout_ms(10000):
        with raises(rt.TimeoutError):
            async with rt.timeout_ms(2):
                await forever()
        await settle()


async def test_outer_limit():
    log = []
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(2):
            try:
                async with rt.timeout_ms(10000):
                    await forever()
            except rt.TimeoutError:
                log.append("inner")
    assert log == []


async def test_both_limits_at_once():
    for inner, outer in ((3, 3), (0, 0), (2, 3), (3, 2)):
        with raises(rt.TimeoutError):
            async with rt.timeout_ms(outer):
                try:
                    async with rt.timeout_ms(inner):
                        await forever()
                except rt.TimeoutError:
                    pass
                await forever()


async def test_outer_limit_during_the_clean_up_of_the_inner():
    log = []
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(20):
            try:
                async with rt.timeout_ms(2):
                    try:
                        await forever()
                    finally:
                        log.append("inner clean-up")
                        await rt.sleep_ms(50)
            except rt.TimeoutError:
                log.append("inner")
            await forever(log, "went on")
    assert log[0] == "inner clean-up"
    # On the host, the inner cancellation cuts its clean-up short before the outer one comes.
    assert log[1:] == [] or (log[1:] == ["inner", "went on"] and not ON_DEVICE)


async def test_inner_limit_during_the_clean_up_for_the_outer():
    # The inner limit strikes while the outer cancellation is on its way: that one must win.
    log = []
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(2):
            try:
                async with rt.timeout_ms(10):
                    try:
                        await forever()
                    finally:
                        await rt.sleep_ms(20)
            except rt.TimeoutError:
                log.append("the inner one won")
            await forever(log, "went on")
    assert log == []


async def test_limits_the_clean_up_after_a_cancellation():
    log = []

    async def work():
        try:
            await forever()
        finally:
            try:
                async with rt.timeout_ms(5):
                    await forever()
            except rt.TimeoutError:
                log.append("given up")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == (["given up"] if ON_DEVICE else [])


# ---- with tasks


async def test_in_a_task():
    log = []

    async def work():
        try:
            async with rt.timeout_ms(2):
                await forever()
        except rt.TimeoutError:
            log.append("task")
        await settle()

    async with rt.TaskGroup() as tg:
        tg.start_soon(work)
        tg.start_soon(work)
        await settle()
    assert log == ["task", "task"]


async def test_in_a_task_unhandled():
    async def work():
        async with rt.timeout_ms(2):
            await forever()

    log = []
    with raises(rt.TimeoutError):
        async with rt.TaskGroup() as tg:
            tg.start_soon(work)
            await forever(log)
    assert log == ["ended"]


async def test_over_a_group():
    log = []
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(2), rt.TaskGroup() as tg:
            tg.start_soon(forever, log, "a")
            tg.start_soon(forever, log, "b")
    assert sorted(log) == ["a", "b"]


async def test_over_a_group_whose_task_fails():
    with raises(ValueError):
        async with rt.timeout_ms(10000), rt.TaskGroup() as tg:
            tg.start_soon(fail, ValueError())
            await forever()


async def test_over_a_group_whose_clean_up_fails():
    async def bad():
        try:
            await forever()
        finally:
            raise ValueError

    with raises(ValueError):
        async with rt.timeout_ms(2), rt.TaskGroup() as tg:
            tg.start_soon(bad)


async def test_cancelled_task_does_not_time_out():
    log = []

    async def work():
        try:
            async with rt.timeout_ms(10000):
                await forever()
        except rt.TimeoutError:
            log.append("time-out")
        log.append("went on")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == []


async def test_cancellation_at_the_moment_of_the_limit_is_not_lost():
    async def work(log):
        try:
            async with rt.timeout_ms(2):
                await rt.Event().wait()
        except rt.TimeoutError:
            pass
        log.append("runs")
        await forever()

    for ms in (1, 2, 3) * 10:
        async with rt.timeout_ms(5000), rt.TaskGroup() as tg:
            task = tg.start_soon(work, [])
            await rt.sleep_ms(ms)
            task.cancel()


async def test_cancellation_during_the_clean_up_is_not_lost():
    log = []

    async def work():
        try:
            async with rt.timeout_ms(2):
                try:
                    await forever()
                finally:
                    log.append("clean-up")
                    await forever()
        except rt.TimeoutError:
            pass
        await forever(log, "went on")

    async with rt.timeout_ms(5000), rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await until(lambda: log)
        task.cancel()
    # On the host, the limit's cancellation may cut the clean-up short before ours comes.
    assert log == ["clean-up"] or (log == ["clean-up", "went on"] and not ON_DEVICE)


async def test_limit_during_the_clean_up_for_a_cancellation_does_not_replace_it():
    # The task handles its time-out and goes on: a cancellation that became one would be lost.
    log = []

    async def work():
        while True:
            try:
                async with rt.timeout_ms(10):
                    try:
                        await forever()
                    finally:
                        log.append("clean-up")
                        await rt.sleep_ms(20)
            except rt.TimeoutError:
                log.append("time-out")

    async with rt.timeout_ms(5000), rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        log.append("cancel")
        task.cancel()
    assert "time-out" not in log[log.index("cancel") :]


async def test_cancelling_the_group_during_a_limit_in_its_body():
    log = []
    async with rt.TaskGroup() as tg:

        async def canceller():
            log.append("cancel")
            tg.cancel()

        tg.start_soon(canceller)
        while True:
            try:
                async with rt.timeout_ms(10):
                    try:
                        await forever()
                    finally:
                        await rt.sleep_ms(20)
            except rt.TimeoutError:
                log.append("time-out")
    assert "time-out" not in log[log.index("cancel") :]
