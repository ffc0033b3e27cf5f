"""Edges of a pin: the ring that an interrupt handler fills, and its readers."""

from moat.micro.app._edges import Reader, Ring


def diff(a, b):
    return a - b


def all_of(reader, now=0):
    """Return what can be taken."""
    got = []
    while True:
        edge = reader.take(now)
        if edge is None:
            return got
        got.append(edge)


def test_edges_come_with_level_and_time():
    ring = Ring()
    ring.note(1, 1)  # before anybody reads
    reader = Reader(ring, diff, 1)
    assert reader.take(0) is None
    ring.note(5, 0)
    ring.note(0, 1)
    assert all_of(reader) == [(0, 5, 0), (1, 0, 0)]
    assert reader.due(9) is None


def test_readers_do_not_take_from_each_other():
    ring = Ring()
    one, two = Reader(ring, diff, 0), Reader(ring, diff, 0)
    ring.note(5, 1)
    assert all_of(one) == all_of(two) == [(1, 5, 0)]


def test_one_sort_of_edges():
    ring = Ring()
    rising, falling = Reader(ring, diff, 0, "rising"), Reader(ring, diff, 0, "falling")
    for i in range(4):
        ring.note(i, (i + 1) % 2)
    assert all_of(rising) == [(1, 0, 0), (1, 2, 0)]
    assert all_of(falling) == [(0, 1, 0), (0, 3, 0)]


def test_the_oldest_edges_are_lost_and_counted():
    ring = Ring()
    reader = Reader(ring, diff, 0)
    for i in range(164):
        ring.note(i, (i + 1) % 2)
    got = all_of(reader)
    assert len(got) == 64
    assert got[0] == (1, 100, 100)
    assert got[-1] == (0, 163, 0)
    assert sum([edge[2] for edge in got]) + len(got) == 164


def test_two_edges_in_one_interrupt_are_one_lost_edge():
    ring = Ring()
    reader = Reader(ring, diff, 0)
    ring.note(3, 0)  # high, and low again before anybody looked
    ring.note(5, 1)
    assert all_of(reader) == [(0, 3, 1), (1, 5, 0)]


def test_the_count_of_edges_goes_round():
    ring = Ring()
    ring.n = 0x3FFFFFFE
    reader = Reader(ring, diff, 0)
    for i in range(5):
        ring.note(i, (i + 1) % 2)
    assert [edge[1] for edge in all_of(reader)] == [0, 1, 2, 3, 4]


def test_an_edge_that_is_overwritten_while_it_is_read_is_lost():
    class Busy:
        def __init__(self, items):
            self.items = items
            self.again = True

        def __setitem__(self, i, x):
            self.items[i] = x

        def __getitem__(self, i):
            x = self.items[i]
            if self.again:
                self.again = False
                ring.note(64, 1)  # where we have just looked
            return x

    ring = Ring()
    reader = Reader(ring, diff, 0)
    for i in range(64):
        ring.note(i, (i + 1) % 2)
    ring.items = Busy(ring.items)
    assert reader.take(0) == (0, 1, 1)


# ---- bounces


def bouncing():
    ring = Ring()
    return ring, Reader(ring, diff, 0, quiet_us=10)


def test_bounces_are_not_told():
    ring, reader = bouncing()
    for time, level in ((100, 1), (102, 0), (104, 1), (150, 0), (151, 1), (152, 0)):
        ring.note(time, level)
    assert all_of(reader, 170) == [(1, 100, 0), (0, 150, 0)]
    assert reader.due(170) is None


def test_where_the_bounces_end_is_told_when_it_is_quiet():
    ring, reader = bouncing()
    ring.note(100, 1)
    ring.note(105, 0)
    assert all_of(reader, 106) == [(1, 100, 0)]
    assert reader.due(106) == 4
    assert reader.take(109) is None
    assert reader.take(110) == (0, 105, 0)
    # Then it forgets the time of that edge: later on it would seem to be to come.
    assert reader.due(110) == 5
    assert reader.take(115) is None
    assert reader.due(115) is None


def test_where_the_bounces_end_is_told_before_the_next_edge():
    ring, reader = bouncing()
    for time, level in ((100, 1), (105, 0), (200, 1), (203, 0), (204, 1)):
        ring.note(time, level)
    assert all_of(reader, 300) == [(1, 100, 0), (0, 105, 0), (1, 200, 0)]


def test_bounces_of_bounces():
    ring, reader = bouncing()
    # Each is within 10 of the one that was told.
    for time, level in ((100, 1), (108, 0), (112, 1), (116, 0), (140, 1)):
        ring.note(time, level)
    assert all_of(reader, 300) == [(1, 100, 0), (0, 108, 0), (1, 140, 0)]


def test_a_bounce_that_nobody_has_seen_begin_is_none():
    ring, reader = bouncing()
    ring.note(100, 0)  # high, and low again in one interrupt
    ring.note(200, 1)
    assert all_of(reader, 300) == [(1, 200, 0)]
