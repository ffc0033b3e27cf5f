"""The delays between attempts to open a link."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.micro.errors import LinkLost, LinkReset
from moat.micro.net.process import ProcessLink
from moat.micro.proto._reconnect import Backoff
from moat.micro.proto.reconnect import ReconnectBuf
from tests.unit.streams import rd

RANDOM = st.integers(0, 2**32 - 1)


def delays(backoff: Backoff, n: int, rand: int = 0, down_ms: int = 0) -> list[int | None]:
    return [backoff.next(rand, down_ms) for _ in range(n)]


def test_delays_grow_by_the_factor_up_to_the_longest() -> None:
    assert delays(Backoff(100, 3, 1000), 5) == [100, 300, 900, 1000, 1000]
    assert delays(Backoff(100, 1.5, 300), 4) == [100, 150, 225, 300]
    assert delays(Backoff(100, 1, 300), 3) == [100, 100, 100]


@given(RANDOM, st.integers(1, 10_000), st.integers(0, 100))
def test_jitter_shortens_a_delay_by_so_much_at_most(rand: int, base: int, jitter: int) -> None:
    delay = Backoff(base, 2, base, jitter).next(rand, 0)
    assert delay is not None
    assert base * (100 - jitter) / 100 <= delay <= base


def test_jitter_covers_its_range() -> None:
    found = {Backoff(100, 2, 100, 50).next(r << 8, 0) for r in range(256)}
    assert found == set(range(51, 101))


@given(st.lists(st.tuples(RANDOM, st.integers(0, 20_000)), min_size=50, max_size=50))
def test_whatever_the_link_does_attempts_are_rare_in_the_long_run(
    course: list[tuple[int, int]],
) -> None:
    backoff = Backoff(100, 2, 5000, jitter=0)
    time = 0
    for rand, up_ms in course:
        backoff.broke(up_ms)
        delay = backoff.next(rand, 0)
        assert delay is not None
        time += up_ms + delay
    # The first few come fast, and so do those after a good time, which has paid for them.
    assert time >= 5000 * (50 - 6) / 7


def test_a_short_life_changes_nothing_and_a_long_one_starts_anew() -> None:
    backoff = Backoff(100, 2, 1000, jitter=0, retries=3)
    assert delays(backoff, 2) == [100, 200]
    backoff.broke(999)
    assert delays(backoff, 2) == [400, None]
    backoff.broke(1000)
    assert delays(backoff, 4) == [100, 200, 400, None]
    backoff.broke(-5)  # a clock that has wrapped
    assert delays(backoff, 1) == [100]


def test_retries_are_counted() -> None:
    assert delays(Backoff(retries=0), 1) == [None]
    assert delays(Backoff(jitter=0, retries=2), 4) == [100, 200, None, None]


def test_the_last_attempt_is_in_time() -> None:
    backoff = Backoff(100, 2, 5000, jitter=0, give_up_ms=500)
    assert [backoff.next(0, t) for t in (0, 100, 300, 500, 501)] == [100, 200, 200, None, None]


@pytest.mark.parametrize(
    "args",
    [
        {"base_ms": 0},
        {"base_ms": 200, "max_ms": 100},
        {"factor": 0.5},
        {"jitter": -1},
        {"jitter": 101},
    ],
)
def test_nonsense_is_refused(args: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="base_ms"):
        Backoff(**args)


async def test_a_process_that_dies_is_started_anew() -> None:
    link = ProcessLink(["cat"])
    states: list[str] = []
    s = ReconnectBuf(link, base_ms=1, on_state=lambda state, _exc: states.append(state))
    async with s:
        for _ in range(2):
            await s.wr(b"hello")
            assert await rd(s) == b"hello"
            assert link.process is not None
            link.process.kill()
            with pytest.raises(LinkReset):
                await rd(s)
        await s.wr(b"again")
        assert await rd(s) == b"again"
    assert link.process is None
    assert states == ["opening", "up", "down"] * 2 + ["opening", "up", "closed"]


async def test_a_process_that_cannot_be_started_is_an_error_at_once() -> None:
    with pytest.raises(LinkLost, match="no-such-program"):
        async with ReconnectBuf(ProcessLink(["no-such-program"])):
            pass
