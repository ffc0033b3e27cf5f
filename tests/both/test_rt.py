"""The runtime: clock, events, locks and the entry; groups and time limits have their own files."""

import sys

from _helpers import ON_DEVICE, raises, settle, until

from moat.micro import rt

DEVICE_ONLY = ("test_ticks_wrap", "test_deadlock_is_an_error", "test_run_leaves_nothing_behind")


def test_ticks_count_milliseconds():
    a = rt.ticks_ms()
    b = rt.ticks_add(a, 1500)
    assert rt.ticks_diff(b, a) == 1500
    assert rt.ticks_diff(a, b) == -1500
    assert rt.ticks_add(b, -1500) == a


def test_ticks_wrap():
    period = rt.ticks_add(0, -1) + 1
    late = period - 10
    early = rt.ticks_add(late, 30)
    assert early == 20
    assert rt.ticks_diff(early, late) == 30
    assert rt.ticks_diff(late, early) == -30


async def test_sleep_takes_its_time():
    start = rt.ticks_ms()
    await rt.sleep_ms(20)
    assert rt.ticks_diff(rt.ticks_ms(), start) >= 19


def test_random_bits_are_32_and_differ():
    seen = [rt.random_bits() for _ in range(40)]
    assert all(0 <= x < 1 << 32 for x in seen)
    assert len(set(seen)) > 30
    assert max(seen) >= 1 << 30  # the upper bits are used


def test_is_coroutine_tells_async_from_plain():
    async def co():
        return 1

    def plain():
        return [1]

    c = co()
    assert rt.is_coroutine(c)
    c.close()
    assert not rt.is_coroutine(plain())
    assert not rt.is_coroutine(None)
    assert not rt.is_coroutine(co)


def test_run_returns_the_result_and_takes_arguments():
    async def add(a, b):
        await rt.sleep_ms(0)
        return a + b

    assert rt.run(add, 3, 4) == 7


def test_run_raises_the_error():
    async def bad():
        raise ValueError("bad")

    with raises(ValueError):
        rt.run(bad)


def test_run_can_run_again_after_an_error():
    async def bad():
        async with rt.TaskGroup() as tg:
            tg.start_soon(rt.Event().wait)
            raise KeyError

    async def good():
        async with rt.timeout_ms(5000):
            await rt.sleep_ms(0)
        return 1

    with raises(KeyError):
        rt.run(bad)
    assert rt.run(good) == 1


def test_deadlock_is_an_error():
    async def wait():
        await rt.Event().wait()

    if sys.implementation.version[:2] < (1, 26):  # later ones have a loop that waits on
        with raises(RuntimeError):
            rt.run(wait)


def test_run_leaves_nothing_behind():
    from asyncio import core

    async def leave_a_task():
        core.create_task(rt.Event().wait())
        core.create_task(fail_late())

    async def fail_late():
        await rt.sleep_ms(1)
        raise ValueError("ran in the next loop")

    async def next_one():
        await rt.sleep_ms(5)
        return core._task_queue.peek()

    rt.run(leave_a_task)
    assert rt.run(next_one) is None


# ---- Event


async def test_event_wakes_all_waiters():
    event = rt.Event()
    woken = []

    async def wait(n):
        assert await event.wait() is True
        woken.append(n)

    async with rt.TaskGroup() as tg:
        for n in range(3):
            tg.start_soon(wait, n)
        await settle()
        assert woken == []
        event.set()
    assert sorted(woken) == [0, 1, 2]
    assert event.is_set()


async def test_event_that_is_set_does_not_wait():
    event = rt.Event()
    event.set()
    ran = []

    async def other():
        ran.append(1)

    async with rt.TaskGroup() as tg:
        tg.start_soon(other)
        assert await event.wait() is True
        assert ran == []


async def test_event_set_and_cleared_at_once_wakes_its_waiters():
    event = rt.Event()
    woken = []

    async def wait():
        await event.wait()
        woken.append(1)

    async with rt.TaskGroup() as tg:
        tg.start_soon(wait)
        await settle()
        event.set()
        event.clear()
        assert not event.is_set()
    assert woken == [1]


async def test_event_waits_again_after_clear():
    event = rt.Event()
    event.set()
    event.clear()
    event.clear()
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(5):
            await event.wait()


async def test_event_cancelled_waiter_leaves_the_others():
    event = rt.Event()
    woken = []

    async def wait(n):
        await event.wait()
        woken.append(n)

    async with rt.TaskGroup() as tg:
        tasks = [tg.start_soon(wait, n) for n in range(3)]
        await settle()
        tasks[1].cancel()
        await settle()
        event.set()
    assert sorted(woken) == [0, 2]


# ---- Lock


async def test_lock_admits_one_at_a_time():
    lock = rt.Lock()
    inside = []
    most = []

    async def work():
        async with lock:
            inside.append(1)
            most.append(len(inside))
            await settle()
            inside.pop()

    async with rt.TaskGroup() as tg:
        for _ in range(4):
            tg.start_soon(work)
    assert most == [1, 1, 1, 1]
    assert not lock.locked()


async def test_lock_serves_in_order():
    lock = rt.Lock()
    order = []

    async def work(n):
        async with lock:
            order.append(n)

    async with rt.TaskGroup() as tg, lock:
        for n in range(4):
            tg.start_soon(work, n)
            await settle()  # trio starts tasks in any order
    assert order == [0, 1, 2, 3]


async def test_lock_that_is_free_is_taken_without_giving_way():
    lock = rt.Lock()
    ran = []

    async def other():
        ran.append(1)

    async with rt.TaskGroup() as tg:
        tg.start_soon(other)
        async with lock:
            assert lock.locked()
        assert ran == []


async def test_lock_is_released_by_an_error():
    lock = rt.Lock()
    with raises(ValueError):
        async with lock:
            raise ValueError
    assert not lock.locked()


async def test_lock_survives_a_cancelled_waiter():
    lock = rt.Lock()
    got = []

    async def work(n):
        async with lock:
            got.append(n)

    async with rt.TaskGroup() as tg, lock:
        first = tg.start_soon(work, 1)
        await settle()
        tg.start_soon(work, 2)
        await settle()
        first.cancel()
    assert got == [2]


async def test_lock_handed_over_to_a_task_that_is_cancelled_is_passed_on():
    lock = rt.Lock()
    got = []

    async def work(n):
        async with lock:
            got.append(n)

    async with rt.TaskGroup() as tg:
        await lock.acquire()
        first = tg.start_soon(work, 1)
        await settle()
        tg.start_soon(work, 2)
        await settle()
        lock.release()  # it is the first one's now, which has not run yet
        first.cancel()
    assert 2 in got
    assert not lock.locked()


# ---- what the sides do differently, as the docstrings of rt say


async def test_wait_in_finally_happens_on_the_device_only():
    log = []

    async def work():
        try:
            await rt.sleep_ms(10000)
        finally:
            await rt.sleep_ms(1)
            log.append("waited")

    async with rt.TaskGroup() as tg:
        task = tg.start_soon(work)
        await settle()
        task.cancel()
    assert log == (["waited"] if ON_DEVICE else [])


async def test_task_cancelled_before_its_first_step_stops_at_its_first_wait():
    log = []

    async def work():
        log.append("started")
        await rt.sleep_ms(0)
        log.append("went on")

    async with rt.TaskGroup() as tg:
        tg.start_soon(work).cancel()
    assert log == ([] if ON_DEVICE else ["started"])


async def test_until_gives_way():
    flag = []

    async def later():
        await rt.sleep_ms(1)
        flag.append(1)

    async with rt.TaskGroup() as tg:
        tg.start_soon(later)
        await until(lambda: flag)
