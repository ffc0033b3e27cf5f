"""What a random search finds too rarely: some lives of two request cores, step by step."""

from __future__ import annotations

from moat.micro.cmd._wire import HELLO, ID_BITS, VERSION
from tests.unit.request_model import DONE, NOT_RUN, UNKNOWN, Cores, Fate
from tests.unit.request_world import World, machine


def opened(cores: Cores, session: bool = True) -> World:
    """Return two ends, by default with a session."""
    world = machine(cores)()
    world.start(0)
    world.start(1)
    if session:
        world.drain()
    return world


def stale_hello(cores: Cores) -> None:
    """A hello arrives that was said before the calls, by one that has not heard of us."""
    world = opened(cores, session=False)
    a, b = world.ends
    world.deliver(side=1, n=1)
    world.deliver(side=0, n=2)
    assert a.core.open
    world.breaks((0, 0), (1,))
    world.notice()
    a.call(None, False)
    world.deliver(side=1, n=9)
    assert a.calls[0].arrived
    world.deliver(side=0, n=1)
    assert not a.core.open
    world.drain()
    assert a.calls[0].told == UNKNOWN
    assert b.core.open


def old_hello_and_call(cores: Cores) -> None:
    """Who has left a session hears a hello that belongs to it, and then a call."""
    world = opened(cores, session=False)
    a, b = world.ends
    world.deliver(side=0, n=1)
    world.breaks((0, 0), (1,))
    world.notice()
    world.deliver(side=0, n=1)
    world.deliver(side=1, n=2)
    assert b.core.open
    world.deliver(side=0, n=9)
    assert a.core.open
    a.call(None, False)
    world.breaks((0, 0), (1,))
    world.notice()
    world.deliver(side=1, n=9)
    world.drain()
    assert a.calls[0].told == NOT_RUN


def _done(world: World) -> Fate:
    """A call is run to its end, the reply is lost."""
    a, b = world.ends
    a.call(None, False)
    world.deliver(side=1, n=9)
    b.end(0, "reply")
    world.breaks((4095, 4095), (0, 1))
    return a.calls[0]


def same_id_in_a_session_that_never_was(cores: Cores) -> None:
    """One end has the next session, the other one never hears of it; ids come again."""
    world = opened(cores)
    a, b = world.ends
    first = _done(world)
    world.notice()
    world.deliver(side=0, n=9)
    world.deliver(side=1, n=1)
    world.deliver(side=0, n=9)
    assert (a.core.open, b.core.open) == (True, False)
    while len(a.calls) <= cores.ids:
        for _ in range(4):
            a.call(None, False)
        world.breaks((4095, 0), (0,))
        world.notice()
        world.deliver(side=1, n=1)
        world.deliver(side=0, n=9)
        assert a.core.open
        assert not b.core.open
    assert first.told == DONE
    assert {fate.told for fate in a.calls[1:]} == {NOT_RUN}
    assert first.ident in [fate.ident for fate in a.calls[1:]]
    world.drain()


def same_id_in_later_sessions(cores: Cores) -> None:
    """Nothing arrives in the sessions that follow; ids come again."""
    world = opened(cores)
    a, _ = world.ends
    first = _done(world)
    while len(a.calls) <= cores.ids:
        world.drain()
        for _ in range(4):
            a.call(None, False)
        world.breaks((4095, 4095), (0, 1))
    world.drain()
    assert first.told == DONE
    assert {fate.told for fate in a.calls[1:]} == {NOT_RUN}


def forgotten(cores: Cores) -> None:
    """A call takes so long that the callee does not remember it when it ends."""
    world = opened(cores)
    a, b = world.ends
    for _ in range(cores.recent + 1):
        a.call(None, False)
        world.deliver(side=1, n=9)
        if len(a.calls) > 1:
            b.end(1, "reply")
        world.deliver(side=0, n=9)
    b.end(0, "reply")
    world.breaks((4095, 4095), (0, 1))
    world.drain()
    assert a.calls[0].told == UNKNOWN


def stranger(cores: Cores) -> None:
    """A peer of another version turns up between."""
    world = opened(cores)
    a, b = world.ends
    a.call(None, False)
    world.deliver(side=1, n=9)
    b.end(0, "reply")
    world.breaks((0, 4095), ())
    b.receive([HELLO, VERSION + 1, 0x11111111 | ID_BITS])
    world.drain()
    assert a.calls[0].told == DONE


def bye_to_somebody_else(cores: Cores) -> None:
    """A new end hears the bye of a peer that has left, before its own hello has gone."""
    world = opened(cores)
    world.leave(1)
    world.ends[1].line.pop()  # its successor's hello goes unheard
    world.start(0)
    end = world.ends[0]
    end.line.clear()
    end.corked = True
    end.post(end.core.hello())
    world.deliver(side=0, n=1)
    world.drain()


def long_cancelled(cores: Cores) -> None:
    """A command takes its time to end; ids come again."""
    world = opened(cores)
    a, b = world.ends
    while not a.calls or a.calls[-1].number % 2:  # see End.served
        a.call(None, False)
    slow = a.calls[-1]
    world.drain()
    a.cancel(slow)
    for _ in range(cores.ids):
        world.drain()
        for n, fate in enumerate(list(b.core.served.values())):
            if fate is not slow:
                b.end(n, "reply")
                break
        world.drain()
        a.call(None, False)
        assert a.calls[-1].ident != slow.ident
    world.teardown()


def credit_in_one_message(cores: Cores) -> None:
    """Credit is granted while the line is slow."""
    world = opened(cores)
    a, b = world.ends
    a.call(5, False)
    a.call(7, False)
    world.drain()
    for end in (a, b):
        end.corked = True
        for n in (0, 1, 1, 0):
            if end is a:
                end.stream(n, "grant", 10 + n)
            else:
                end.allow_feeds(n, 20 + n)
        assert len(end.core.out) == 2
    world.drain()
    assert [fate.credit for fate in a.calls] == [25, 29]
    assert [fate.may_send for fate in a.calls] == [40, 42]


def unsent(cores: Cores) -> None:
    """The line breaks before a call has left; the other end notices nothing."""
    world = opened(cores)
    a, _ = world.ends
    a.corked = True
    a.call(None, False)
    world.breaks((0, 0), (0,))
    world.drain()
    assert a.calls[0].told == NOT_RUN


def too_many_at_once(cores: Cores) -> None:
    """All calls that an end may make are on their way, and the peer is busy."""
    world = opened(cores)
    a, b = world.ends
    for _ in range(cores.calls):
        a.call(None, False)
    a.call(None, False)
    assert len(a.calls) == cores.calls
    b.corked = True
    world.deliver(side=1, n=cores.calls)
    served = len(b.core.served)
    assert len(b.core.out) == cores.calls - served
    b.corked = False
    world.drain()
    assert [fate.told for fate in a.calls].count(None) == served
    world.teardown()


def notices_are_bounded(cores: Cores) -> None:
    """A program makes calls without reply faster than the line takes them."""
    world = opened(cores)
    a, b = world.ends
    a.corked = True
    for _ in range(200):
        a.call(None, True)
    assert len(a.core.out) == 64
    a.corked = False
    world.drain()
    assert len(b.core.served) == 4


STORIES = (
    stale_hello, old_hello_and_call, same_id_in_a_session_that_never_was,
    same_id_in_later_sessions, forgotten, stranger, bye_to_somebody_else, long_cancelled,
    credit_in_one_message, unsent, too_many_at_once, notices_are_bounded,
)  # fmt: skip
