"""The log: records that are kept, readers, and the stream of them."""

from _commands import linked
from _helpers import raises, until

from moat.micro import log, rt
from moat.micro._records import LEVELS, Records, level_of
from moat.micro.app.common import CommonCmd
from moat.micro.cmd.tree import Dispatch


def texts(reader):
    """Take all records."""
    found = []
    while True:
        record = reader.take()
        if record is None:
            return found
        found.append(record[2])


def nothing():
    """Wake nobody."""


def test_a_reader_begins_with_what_is_kept():
    records = Records(4, 80)
    records.put(20, 1000, "one")
    records.put(40, 2000, "two")
    reader = records.reader(20, nothing)
    assert reader.take() == [20, 1000, "one", 0]
    assert reader.take() == [40, 2000, "two", 0]
    assert reader.take() is None
    records.put(30, 3000, "three")
    assert texts(reader) == ["three"]


def test_the_oldest_is_dropped_and_counted():
    records = Records(3, 80)
    reader = records.reader(20, nothing)
    records.put(20, 0, "0")
    assert texts(reader) == ["0"]
    for i in range(1, 8):
        records.put(20, i, str(i))
    assert reader.take() == [20, 5, "5", 4]
    assert reader.take() == [20, 6, "6", 0]
    assert texts(records.reader(20, nothing)) == ["5", "6", "7"]


def test_each_reader_has_its_place_and_level():
    records = Records(8, 80)
    a = records.reader(20, nothing)
    b = records.reader(40, nothing)
    records.put(20, 0, "info")
    records.put(40, 0, "error")
    assert texts(a) == ["info", "error"]
    assert texts(b) == ["error"]


def test_debug_records_are_kept_for_who_wants_them():
    records = Records(8, 80)
    records.put(10, 0, "before")
    reader = records.reader(10, nothing)
    records.put(10, 0, "now")
    reader.close()
    records.put(10, 0, "after")
    assert texts(records.reader(10, nothing)) == ["now"]


def test_a_reader_is_woken_by_its_levels_only():
    woken = []
    records = Records(8, 80)
    reader = records.reader(30, lambda: woken.append(1))
    records.put(20, 0, "info")
    assert woken == []
    records.put(30, 0, "warning")
    assert woken == [1]
    reader.close()
    records.put(30, 0, "warning")
    assert woken == [1]


def test_a_long_text_is_cut():
    records = Records(2, 10)
    records.put(20, 0, "x" * 10)
    records.put(20, 0, "x" * 11)
    assert texts(records.reader(20, nothing)) == ["x" * 10, "x" * 8 + ".."]


def test_levels_have_names():
    assert [level_of(name) for name in ("debug", "info", "warning", "error")] == [10, 20, 30, 40]
    assert level_of(35) == 35
    with raises(ValueError) as caught:
        level_of("loud")
    assert "debug, info, warning, error" in str(caught.exc)


def taken():
    """Return all warnings and errors that are kept."""
    reader = log.records().reader(LEVELS["warning"], nothing)
    found = []
    record = reader.take()
    while record is not None:
        found.append((record[0], record[2]))
        record = reader.take()
    reader.close()
    return found


def test_what_is_logged_is_kept():
    log.records()
    log.warning("%d of %s", 3, "x")
    log.error("100 %")
    assert taken()[-2:] == [(30, "3 of x"), (40, "100 %")]


def test_a_failure_is_an_error_record():
    log.records()
    try:
        raise ValueError("why", 3)
    except ValueError as exc:
        log.failed("some part", exc)
    level, text = taken()[-1]
    assert level == 40
    assert text.startswith("some part: ValueError: ")
    assert "why" in text


async def test_the_stream_sends_records_as_they_come():
    log.records()
    log.warning("kept")
    async with linked(Dispatch({"sys": CommonCmd()})) as (near, _):
        async with near.stream(["sys", "log"], "warning") as st:
            record = await st.recv()
            while record[2] != "kept":
                record = await st.recv()
            log.warning("new")
            level, when, text, lost = await st.recv()
            assert [level, text, lost] == [30, "new", 0]
            assert when <= await near.call(["sys", "time"])
            assert log.records()._readers
        await until(lambda: not log.records()._readers)


async def test_an_unknown_level_is_an_error():
    async with linked(Dispatch({"sys": CommonCmd()})) as (near, _):
        with raises(ValueError):
            async with near.stream(["sys", "log"], level="loud") as st:
                await st.recv()


async def test_a_slow_reader_is_told_what_it_has_missed():
    log.records()
    root = Dispatch({"sys": CommonCmd()})
    async with linked(root, window=64) as (near, _), near.stream(["sys", "log"], "error") as st:
        log.error("first")
        while (await st.recv())[2] != "first":
            pass
        for i in range(600):
            log.error("e%d", i)
            if i % 50 == 0:
                await rt.sleep_ms(0)
        seen = lost = 0
        text = ""
        while text != "e599":
            _, _, text, n = await st.recv()
            seen += 1
            lost += n
        assert seen + lost == 600
        assert lost > 0


async def test_the_time_is_in_microseconds():
    async with linked(Dispatch({"sys": CommonCmd()})) as (near, _):
        first = await near.call(["sys", "time"])
        assert isinstance(first, int)
        await rt.sleep_ms(5)
        assert 3_000 < await near.call(["sys", "time"]) - first < 60_000_000
