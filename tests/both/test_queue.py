"""The runtime's Queue."""

from _helpers import raises, settle, until

from moat.micro import rt


async def _fill(queue, items, log=None):
    for x in items:
        await queue.put(x)
        if log is not None:
            log.append(x)


async def _take(queue, n):
    got = []
    for _ in range(n):
        got += [await queue.get()]
    return got


async def test_first_in_first_out():
    queue = rt.Queue(5)
    await _fill(queue, range(5))
    assert await _take(queue, 5) == [0, 1, 2, 3, 4]


async def test_len_and_full():
    queue = rt.Queue(2)
    assert len(queue) == 0
    assert not queue.full()
    await _fill(queue, "ab")
    assert len(queue) == 2
    assert queue.full()
    await queue.get()
    assert len(queue) == 1
    assert not queue.full()


async def test_holds_none_and_false():
    queue = rt.Queue(3)
    await _fill(queue, [None, 0, ""])
    assert await _take(queue, 3) == [None, 0, ""]


async def test_put_waits_while_it_is_full():
    queue = rt.Queue(2)
    log = []
    async with rt.TaskGroup() as tg:
        tg.start_soon(_fill, queue, range(4), log)
        await settle()
        assert log == [0, 1]
        assert await queue.get() == 0
        await settle()
        assert log == [0, 1, 2]
        assert len(queue) == 2
        assert await _take(queue, 3) == [1, 2, 3]


async def test_get_waits_while_it_is_empty():
    queue = rt.Queue(2)
    log = []

    async def consume():
        log.append(await queue.get())

    async with rt.TaskGroup() as tg:
        tg.start_soon(consume)
        await settle()
        assert log == []
        await queue.put("x")
        await until(lambda: log)
    assert log == ["x"]


async def test_does_not_give_way_when_it_need_not_wait():
    queue = rt.Queue(1)
    log = []

    async def other():
        log.append(1)

    async with rt.TaskGroup() as tg:
        tg.start_soon(other)
        await queue.put(1)
        await queue.get()
        assert log == []


async def test_many_producers_and_consumers_lose_nothing():
    queue = rt.Queue(3)
    got = []

    async def consume():
        try:
            while True:
                got.append(await queue.get())
                await rt.sleep_ms(0)
        except EOFError:
            pass

    async with rt.TaskGroup() as consumers:
        for _ in range(4):
            consumers.start_soon(consume)
        async with rt.TaskGroup() as producers:
            for n in range(5):
                producers.start_soon(_fill, queue, range(n * 20, n * 20 + 20))
        queue.close()
    assert sorted(got) == list(range(100))
    for n in range(5):  # the order of each producer is kept
        own = [x for x in got if x // 20 == n]
        assert len(own) == 20


async def test_order_with_one_consumer():
    queue = rt.Queue(2)
    got = []

    async def consume():
        got.extend(await _take(queue, 30))

    async with rt.TaskGroup() as tg:
        tg.start_soon(consume)
        tg.start_soon(_fill, queue, range(30))
    assert got == list(range(30))


async def test_close_lets_the_rest_be_taken():
    queue = rt.Queue(3)
    await _fill(queue, "ab")
    queue.close()
    assert await queue.get() == "a"
    assert await queue.get() == "b"
    for _ in range(2):
        with raises(EOFError):
            await queue.get()


async def test_close_refuses_more():
    queue = rt.Queue(3)
    queue.close()
    queue.close()
    with raises(EOFError):
        await queue.put(1)
    assert len(queue) == 0


async def test_close_wakes_those_who_wait():
    empty, full = rt.Queue(1), rt.Queue(1)
    await full.put("kept")
    ended = []

    async def get():
        with raises(EOFError):
            await empty.get()
        ended.append("get")

    async def put():
        with raises(EOFError):
            await full.put("refused")
        ended.append("put")

    async with rt.TaskGroup() as tg:
        for task in (get, get, put, put):
            tg.start_soon(task)
        await settle()
        empty.close()
        full.close()
    assert sorted(ended) == ["get", "get", "put", "put"]
    assert await full.get() == "kept"


async def test_cancelled_get_loses_nothing():
    queue = rt.Queue(3)
    got = []

    async def consume():
        got.append(await queue.get())

    for waits in range(4):
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(consume)
            await settle()
            await queue.put(waits)
            for _ in range(waits):
                await rt.sleep_ms(0)
            task.cancel()
        while len(queue):
            got.append(await queue.get())
    assert got == [0, 1, 2, 3]


async def test_cancelled_put_stores_nothing_twice_and_leaves_no_hole():
    for waits in range(4):
        queue = rt.Queue(1)
        done = []
        await queue.put("first")
        async with rt.TaskGroup() as tg:
            task = tg.start_soon(_fill, queue, ["second"], done)
            await settle()
            assert await queue.get() == "first"
            for _ in range(waits):
                await rt.sleep_ms(0)
            task.cancel()
        assert len(queue) == len(done)
        if done:
            assert await queue.get() == "second"
        await queue.put("third")
        assert await queue.get() == "third"


async def test_cancelled_get_leaves_the_item_to_the_next():
    queue = rt.Queue(1)
    got = []

    async def consume(name):
        got.append((name, await queue.get()))

    async with rt.TaskGroup() as tg:
        first = tg.start_soon(consume, "first")
        await settle()
        tg.start_soon(consume, "second")
        await settle()
        await queue.put("x")
        first.cancel()
        await until(lambda: got)  # one of the two, whichever
        await settle()
        tg.cancel()
    assert len(got) == 1
    assert got[0][1] == "x"


async def test_cancelled_put_leaves_the_room_to_the_next():
    queue = rt.Queue(1)
    await queue.put("x")
    done = []
    async with rt.TaskGroup() as tg:
        first = tg.start_soon(_fill, queue, ["a"], done)
        await settle()
        tg.start_soon(_fill, queue, ["b"], done)
        await settle()
        await queue.get()
        first.cancel()
        await until(lambda: done)
        assert await queue.get() == done[0]
        tg.cancel()


async def test_get_with_a_time_limit():
    queue = rt.Queue(1)
    with raises(rt.TimeoutError):
        async with rt.timeout_ms(2):
            await queue.get()
    await queue.put(1)
    async with rt.timeout_ms(0):
        assert await queue.get() == 1
