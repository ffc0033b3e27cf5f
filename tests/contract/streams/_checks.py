"""What the streams of every kind have to keep; each check gets the Maker of a class."""

from _context import (
    a_reset_is_raised_once,
    an_error_in_the_body_passes,
    cancelled_while_it_opens_it_can_be_tried_again,
    console_bytes_pass,
    entering_twice_is_an_error_and_harmless,
    it_can_be_entered_again,
    what_came_before_it_was_entered_is_read,
    without_a_console_it_says_so,
)
from _helpers import raises, settle, until
from _pair import ENDS, LOST, call, cancel_after

from moat.micro import rt
from moat.micro.errors import InUseError, LinkError, LinkLost

_BOUND = 64 << 20


async def order_is_kept(maker):
    async with maker.opened() as o:
        for size in (8, 9, 100, maker.big):
            for x, y in ((o.a, o.b), (o.b, o.a)):
                async with rt.TaskGroup() as tg:
                    tg.start_soon(_put_all, x, range(10), size)
                    for i in range(10):
                        assert await y.get() == i


async def both_directions_run_at_once(maker):
    done = []

    async def get_all(end):
        for i in range(60):
            assert await end.get() == i
        done.append(end)

    async with maker.opened() as o, rt.TaskGroup() as tg:
        for end in (o.a, o.b):
            tg.start_soon(_put_all, end, range(60), maker.big)
            tg.start_soon(get_all, end)
    assert len(done) == 2


async def _put_all(end, numbers, size=20):
    for i in numbers:
        await end.put(i, size)


async def what_was_sent_can_be_flushed(maker):
    async with maker.opened() as o:
        await o.sa.flush()
        await o.a.put(0)
        await o.sa.flush()
        assert await o.b.get() == 0


# ---- the end


async def the_peer_leaves(maker):
    async with maker.pair() as p, p.a as sa:
        a = ENDS[maker.kind](sa)
        count = min(maker.fills or 3, 3)
        async with p.b as sb:
            await _put_all(ENDS[maker.kind](sb), range(count))
        for i in range(count):
            assert await a.get() == i
        for _ in range(2):
            with raises(maker.ends):
                await a.get()


async def the_peer_leaves_while_we_read(maker):
    found = []
    async with maker.pair() as p, p.a as sa, rt.TaskGroup() as tg:
        a = ENDS[maker.kind](sa)
        async with p.b:
            tg.start_soon(_get_until_it_ends, a, found)
            await settle()
    assert type(found[0]) is maker.ends, found


async def writing_to_a_peer_that_left_fails(maker):
    async with maker.pair() as p, p.a as sa:
        async with p.b:
            pass
        a = ENDS[maker.kind](sa)
        with raises(LinkError):
            await _put_all(a, range(_BOUND), maker.big)


async def half_closed_it_can_still_be_written(maker):
    async with maker.opened() as o:
        await o.b.put(0)
        await call(o.pair.half_close)
        assert await o.a.get() == 0
        for _ in range(2):
            with raises(EOFError):
                await o.a.get()
        await o.a.put(1)
        assert await o.b.get() == 1


async def a_broken_link_ends_everything(maker):
    found = []
    async with maker.opened() as o, rt.TaskGroup() as tg:
        tg.start_soon(_get_until_it_ends, o.a, found)
        await settle()
        await call(o.pair.cut)
        await until(lambda: found)
        assert type(found[0]) is LinkLost, found
        with raises(LinkLost):
            await o.a.get()
        with raises(LinkError):
            await _put_all(o.a, range(_BOUND), maker.big)


async def a_broken_link_wakes_a_writer(maker):
    found = []

    async def write(end):
        try:
            await _put_all(end, range(_BOUND), maker.big)
        except LinkError as exc:
            found.append(exc)

    async with maker.opened() as o, rt.TaskGroup() as tg:
        tg.start_soon(write, o.a)
        await settle()
        await call(o.pair.cut)
    assert len(found) == 1


async def left_it_is_closed(maker):
    async with maker.opened() as o:
        a = o.a
        await o.b.put(1)
        assert await a.get() == 1
    for _ in range(2):
        with raises(*LOST):
            await a.read()
        with raises(LinkLost):
            await a.put(1)


async def _get_until_it_ends(end, found):
    try:
        while True:
            await end.get()
    except LOST as exc:
        found.append(exc)


# ---- one reader, cancellation


async def a_second_reader_is_refused(maker):
    found = []

    async def read(end):
        found.append(await end.get())

    async with maker.opened() as o, rt.TaskGroup() as tg:
        tg.start_soon(read, o.a)
        await settle()
        for _ in range(2):
            with raises(InUseError):
                await o.a.read()
        await o.b.put(5)
    assert found == [5]


async def a_cancelled_read_loses_nothing(maker):
    """The peer writes some steps later: the data come before, with and after the cancellation."""
    found = []
    count = 0

    async def read(end):
        found.append(await end.get())

    async def write(end, delay, number, size):
        for _ in range(delay):
            await rt.sleep_ms(0)
        await end.put(number, size)

    async with maker.opened() as o:
        for size in (20, maker.big):
            for delay in (0, 1, 3):
                for steps in range(maker.steps):
                    async with rt.TaskGroup() as tg:
                        tg.start_soon(write, o.b, delay, count, size)
                        async with rt.TaskGroup() as inner:
                            await cancel_after(inner, steps, read, o.a)
                        at_once = len(found) > count
                        if not at_once:
                            await read(o.a)
                    assert found[count:] == [count], (steps, delay, found[-3:])
                    count += 1
                    if at_once:
                        break


async def a_cancelled_write_leaves_no_half(maker):
    """It is done, or not done, or the link breaks; the next unit is whole in any case."""
    for idle in (True, False):  # whether nobody reads when it is cancelled
        for steps in range(maker.steps):
            if await _cancelled_write(maker, idle, steps):
                break


async def _cancelled_write(maker, idle, steps):
    """Return True if it was not cancelled in time."""
    done, found, broke, ended = [], [], [], []

    async def write(end, number, size):
        try:
            await end.put(number, size)
            done.append(number)
        except LOST as exc:
            broke.append(exc)

    async def read(end):
        try:
            while not found or found[-1] != 99:
                found.append(await end.get())
        except LOST as exc:
            ended.append(exc)

    async with maker.opened() as o, rt.TaskGroup() as tg:
        await _put_all(o.a, range(maker.fills))
        if not idle:
            tg.start_soon(read, o.b)
        async with rt.TaskGroup() as inner:
            await cancel_after(inner, steps, write, o.a, 50, maker.huge)
            if idle:
                await settle()
                tg.start_soon(read, o.b)
        whole = 50 in done
        await write(o.a, 99, 20)
        await until(lambda: 99 in found or ended)
        tg.cancel()
    assert found.count(50) <= 1
    assert 50 in found or not whole, steps
    rest = [i for i in found if i != 50]
    assert rest == list(range(maker.fills)) + [99] * (not broke), (steps, found, broke)
    return whole


async def a_cancelled_write_leaves_the_reader_in_peace(maker):
    """What arrives while nothing can be written is read, before and after that is given up.

    Where giving up breaks the link, the reader is told.
    """
    async with maker.opened() as o, rt.TaskGroup() as tg:
        found, broke = [], []

        async def read():
            try:
                while True:
                    found.append(await o.a.get())
            except LOST as exc:
                broke.append(exc)

        async def write():
            while True:
                await o.a.put(0, maker.huge)

        tg.start_soon(read)
        async with rt.TaskGroup() as inner:
            inner.start_soon(write)
            await settle()
            await rt.sleep_ms(1)
            await o.b.put(1)
            await until(lambda: found == [1])
            inner.cancel()
            tg.start_soon(_get_until_it_ends, o.b, [])  # it may have to finish what it wrote
        try:
            await o.b.put(2)
        except LOST as exc:
            broke.append(exc)
        await until(lambda: found == [1, 2] or broke)
        tg.cancel()


async def a_writer_waits_for_the_reader(maker):
    for forth in (True, False):
        async with maker.opened() as o:
            await _writer_waits(maker, o.a if forth else o.b, o.b if forth else o.a)


async def _writer_waits(maker, x, y):
    size = maker.big
    count = 0
    stop = False

    async def write():
        nonlocal count
        while not stop:
            await x.put(count, size)
            count += 1

    async with rt.TaskGroup() as tg:
        tg.start_soon(write)
        before = -1
        while count > before:
            before = count
            await settle()
            await rt.sleep_ms(1)
            assert count * size <= maker.holds + size
        stop = True
        for i in range(count + 1):
            assert await y.get() == i


def checks_for(maker):
    """Return the checks of what this class has."""
    checks = [
        order_is_kept, both_directions_run_at_once, what_was_sent_can_be_flushed,
        left_it_is_closed,
        entering_twice_is_an_error_and_harmless, an_error_in_the_body_passes,
        a_second_reader_is_refused, a_cancelled_read_loses_nothing,
        a_cancelled_write_leaves_no_half, a_cancelled_write_leaves_the_reader_in_peace,
        a_writer_waits_for_the_reader,
    ]  # fmt: skip
    if maker.ends:
        checks += [
            the_peer_leaves, the_peer_leaves_while_we_read, writing_to_a_peer_that_left_fails,
        ]  # fmt: skip
    if maker.cuts:
        checks += [a_broken_link_ends_everything, a_broken_link_wakes_a_writer]
    for has, check in (
        (maker.again, it_can_be_entered_again),
        (maker.early, what_came_before_it_was_entered_is_read),
        (maker.again, cancelled_while_it_opens_it_can_be_tried_again),
        (maker.halves, half_closed_it_can_still_be_written),
        (maker.resets, a_reset_is_raised_once),
        (maker.console, console_bytes_pass),
        (not maker.console, without_a_console_it_says_so),
    ):
        if has:
            checks.append(check)
    return checks
