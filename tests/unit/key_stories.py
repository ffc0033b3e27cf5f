"""What must hold for ends with keys, whatever an attacker does who has none."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from msgpack import packb

from moat.micro.cmd._auth import FOR, NO_3, NONCE, PROOF
from moat.micro.cmd._auth import KEY as WANTED
from moat.micro.cmd._request import REFUSED, SESSION
from moat.micro.cmd._wire import BEGUN, BYE, CALL, DONE, HELLO, ID_BITS, VERSION
from tests.unit.key_cases import KEY, OTHER_KEY, End, changes, nonce, pair, talk
from tests.unit.request_cases import Ours, names

STRANGER = 0x7E6D5C4B | ID_BITS


def hello(end: End, ident: int = STRANGER, **more: Any) -> list[Any]:
    """An attacker's hello, for this end."""
    features = {NONCE: more.get("nonce") or nonce(), FOR: end.nonce}
    return [HELLO, VERSION, ident, end.core.own, 4096, features]


def proofs(end: End) -> list[Any]:
    """The hellos with a proof that this end has said."""
    return [msg for msg in end.said if msg[0] == HELLO and PROOF in msg[5]]


def the_same_key_opens(module: Any) -> None:
    for first in (0, 1):
        ends = [End(False, module=module), End(True, module=module)]
        ends[first].line.clear()  # the other end has not heard that
        talk(ends[0], ends[1])
        assert ends[0].open
        assert ends[1].open
        assert [len(proofs(end)) for end in ends] == [2, 1]
        assert ends[0].core.peer == ends[1].core.own
        assert ends[1].core.peer == ends[0].core.own


def another_key_does_not_open(module: Any) -> None:
    client, server = End(False, OTHER_KEY, module), End(True, KEY, module)
    talk(client, server)
    assert not client.open
    assert not server.open
    assert "another key" in str(server.why)
    assert "wants its key" in str(client.why)
    assert server.said[-1] == [BYE, WANTED]
    assert not proofs(server)


def without_a_key_nothing_opens(module: Any) -> None:
    for server_has in (True, False):
        client = End(False, None if server_has else KEY, module)
        server = End(True, KEY if server_has else None, module)
        talk(client, server)
        has, has_not = (server, client) if server_has else (client, server)
        assert not has.open
        assert not has_not.open
        assert "no key" in str(has.why)
        assert has_not.events[-1][0] == REFUSED
        assert "wants its key" in str(has_not.events[-1][3])
        assert not proofs(has)
        assert client.said[-1] == [BYE, WANTED] or server.said[-1] == [BYE, WANTED]


def a_recording_opens_nothing(module: Any) -> None:
    client, server = pair(module=module)
    for recorded, is_server in ((client.said, True), (server.said, False)):
        end = End(is_server, module=module)
        for _ in range(2):
            for msg in recorded:
                end.receive(msg)
                if msg[0] == HELLO:
                    end.receive([*msg[:3], end.core.own, msg[4], {**msg[5], FOR: end.nonce}])
        assert not end.open
    # The same ends after a break.
    for end, recorded in ((server, client.said[:]), (client, server.said[:])):
        end.reset()
        for msg in recorded:
            end.receive(msg)
        assert not end.open


def a_recording_opens_nothing_for_the_same_id(module: Any) -> None:
    """A session that never began leaves the id of the end as it was."""
    for is_server in (False, True):
        victim, other = End(is_server, module=module), End(not is_server, module=module)
        recorded: list[Any] = []
        for _ in range(9):
            if victim.line:
                other.receive(victim.line.popleft())
            if other.line:
                recorded.append(other.line.popleft())
                if PROOF in recorded[-1][5]:
                    break
                victim.receive(recorded[-1])
        own = victim.core.own
        victim.reset()
        assert victim.core.own == own
        for msg in recorded:
            victim.receive(msg)
        assert not victim.open
        assert victim.why is None, "that may be said late by somebody who has the key"
        victim.receive([*recorded[-1][:5], {**recorded[-1][5], FOR: victim.nonce}])
        assert not victim.open


def an_echo_opens_nothing(module: Any) -> None:
    for is_server in (False, True):
        for ident, other in ((None, None), (STRANGER, None), (STRANGER, nonce())):
            end = End(is_server, module=module)
            for _ in range(9):
                if end.line:
                    msg = end.line.popleft()
                    if msg[0] == BYE:
                        break
                    msg[2], msg[3] = ident or msg[2], end.core.own
                    msg[5][FOR] = msg[5][NONCE]
                    msg[5][NONCE] = other or msg[5][NONCE]
                    end.receive(msg)
            assert not end.open
            if other is None:
                assert not proofs(end), "it proves the key to itself"


def two_clients_prove_nothing_to_each_other(module: Any) -> None:
    """The attacker is the server of both, and passes on what they say."""
    one, two = End(False, module=module), End(False, module=module)
    talk(one, two)
    assert not one.open
    assert not two.open
    assert proofs(one)


def a_server_proves_nothing_first(module: Any) -> None:
    """Nor is what it says in one session of any use in another one."""
    one, two = End(True, module=module), End(True, module=module)
    for end in (one, two):
        end.receive(hello(end))
    talk(one, two)
    assert not proofs(one) + proofs(two)
    # Somebody with the key has it say a proof, to him.
    client, server = pair(module=module)
    said = deepcopy(proofs(server)[0])
    for known, ident in ((two.core.own, said[2]), (two.core.own, client.core.own)):
        said[2:4] = ident, known
        said[5][FOR] = two.nonce
        two.why = None
        two.receive(said)
        assert not two.open
    assert client.open


def what_was_changed_opens_nothing(module: Any) -> None:
    for is_server in (False, True):
        for change in changes():
            victim, other = End(is_server, module=module), End(not is_server, module=module)
            seen = False
            for _ in range(9):
                if victim.line:
                    other.receive(victim.line.popleft())
                if other.line:
                    msg = other.line.popleft()
                    if PROOF in msg[5]:
                        change(msg)
                        seen = True
                    victim.receive(msg)
            assert seen
            assert not victim.open, change


def what_was_done_is_not_said_to_run(module: Any) -> None:
    client, server = pair(module=module)
    _, call = client.core.call(Ours(), ["x"], b"", None)
    server.receive(call)
    server.core.reply(1, b"")
    client.reset()
    for _ in range(9):
        if client.line:
            server.receive(client.line.popleft())
        if server.line:
            msg = server.line.popleft()
            if PROOF in msg[5]:
                assert msg[5].keys() == {DONE, BEGUN, NONCE, PROOF, FOR}
                # The order of the values is what it was.
                msg[5] = {(3 if name == BEGUN else name): x for name, x in msg[5].items()}
            client.receive(msg)
    assert not client.open


def nothing_is_answered_before_the_proof(module: Any) -> None:
    client, server = End(False, module=module), End(True, module=module)
    call = [CALL, 1, ["x"]]
    for _ in range(9):
        if server.open:
            break
        if server.line:
            client.receive(server.line.popleft())
        assert server.receive(call) is None
        assert not server.core.served
        assert {msg[0] for msg in server.said} == {HELLO}
        if client.line:
            server.receive(client.line.popleft())
    event = server.receive(call)
    assert event is not None
    assert event[0] == CALL
    assert not client.open
    assert client.receive(call) is None


def a_proof_that_comes_twice_changes_nothing(module: Any) -> None:
    client, server = pair(module=module)
    server.receive([CALL, 1, ["x"]])
    client.core.call(Ours(), ["x"], b"", None)
    said = len(client.said), len(server.said)
    for end, other in ((server, client), (client, server)):
        for msg in [proofs(other)[-1], other.said[-1], proofs(other)[-1]]:
            assert end.receive(msg) is None
        assert end.open
    assert server.core.served
    assert client.core.calls
    assert (len(client.said), len(server.said)) == said


def each_session_has_new_nonces(module: Any) -> None:
    client, server = pair(module=module)
    for resets in ((client,), (server,), (client, server)):
        before = {end: {msg[5][NONCE] for msg in end.said} for end in (client, server)}
        for end in resets:
            end.reset()
        talk(client, server)
        for end in (client, server):
            assert end.open
            assert end.said[-1][5][NONCE] not in before[end]


def an_end_that_starts_anew_is_met(module: Any) -> None:
    for which in (0, 1):
        ends = list(pair(module=module))
        ends[which] = End(which == 1, module=module)
        talk(ends[0], ends[1])
        assert ends[0].open
        assert ends[1].open


def what_became_of_calls_is_told_by_who_has_the_key(module: Any) -> None:
    for caller_is in (0, 1):
        for resets in ((0,), (1,), (0, 1)):
            ends = pair(module=module)
            caller, callee = ends[caller_is], ends[1 - caller_is]
            for path in ("done", "begun", "lost"):
                ident, msg = caller.core.call(Ours(path), [path], b"", None)
                if path != "lost":
                    callee.receive(msg)
                    callee.core.served[ident] = path
                if path == "done":
                    callee.core.reply(ident, b"")
            ended = []
            for which in resets:
                end = ends[which]
                ended += end.core.lost()[1]
                end.line.clear()
                end.core.out.append(end.core.hello())
                end.flush()
            # A stranger may say what he likes.
            caller.events.clear()
            stranger = hello(caller, callee.core.own)
            stranger[5][DONE] = bytes(range(1, 9))
            talk(ends[0], ends[1])
            ended += [x for event in caller.events for x in event[1]]
            assert sorted(names(ended)) == [
                ("begun", "CallUnknownError"),
                ("done", "CallDoneError"),
                ("lost", "CallNotRunError"),
            ]


def what_became_of_calls_is_told_until_it_has_been_heard(module: Any) -> None:
    """The server opens the session, and the client has left it already."""
    client, server = pair(module=module)
    ident, msg = client.core.call(Ours(), ["x"], b"", None)
    server.receive(msg)
    server.core.reply(ident, b"")
    server.reset()
    ended = client.receive(server.line.popleft())[1]
    proof = client.line.popleft()
    client.reset()
    server.receive(proof)
    assert server.open
    client.events.clear()
    talk(client, server)
    assert client.open
    ended += [x for event in client.events for x in event[1]]
    assert names(ended) == [("ours", "CallDoneError")]
    assert not server.core.outcomes.told, "that has been heard"


def what_is_out_of_date_is_not_told(module: Any) -> None:
    """The client had the session, though the server has heard nothing in it."""
    client, server = pair(module=module)
    ident, msg = client.core.call(Ours(), ["x"], b"", None)
    server.receive(msg)
    server.core.reply(ident, b"")
    client.reset()
    for _ in range(9):
        if client.open:
            break
        if client.line:
            server.receive(client.line.popleft())
        if server.line:
            client.receive(server.line.popleft())
    assert client.open
    assert server.core.outcomes.told
    client.core.last = ident - 1  # the same id again
    client.core.call(Ours("lost"), ["x"], b"", None)
    client.events.clear()
    ended = client.core.lost()[1]
    client.line.clear()
    client.core.out.append(client.core.hello())
    client.flush()
    talk(client, server)
    ended += [x for event in client.events for x in event[1]]
    assert names(ended) == [("lost", "CallNotRunError")]


def only_who_has_the_key_is_told_of_calls(module: Any) -> None:
    client, server = pair(module=module)
    ident, msg = client.core.call(Ours(), ["x"], b"", None)
    server.receive(msg)
    server.core.reply(ident, b"")
    server.reset()
    server.receive(hello(server))
    assert len(server.said[-1][5]) == len((NONCE, FOR))
    talk(client, server)
    assert DONE in server.said[-1][5]


def a_stranger_tells_nothing_of_calls(module: Any) -> None:
    client, server = pair(module=module)
    client.core.call(Ours(), ["x"], b"", None)
    client.reset()
    following = server.core.own & ~255 | (server.core.own + 1) & 255 | 8
    for ident in (STRANGER, server.core.own, following):
        msg = hello(client, ident)
        msg[5][DONE] = bytes(range(1, 9))
        event = client.receive(msg)
        assert event is None or (event[0] == SESSION and not event[1])


def strangers_fill_nothing(module: Any) -> None:
    for is_server in (False, True):
        end = End(is_server, module=module)
        for n in range(50):
            msg = hello(end, STRANGER ^ n << 12)
            end.core.receive(msg)  # it cannot send
            end.core.receive([CALL, 1, ["x"]])
            assert len(end.core.out) <= 1
        assert not end.core.served
        assert end.core.peer is None


def a_hello_has_no_byte_3(module: Any) -> None:
    for _ in range(60):
        for end in pair(module=module):
            for msg in end.said:
                assert 3 not in packb(msg)
                assert all(b & NO_3 for b in msg[5][NONCE] + msg[5].get(PROOF, b""))


STORIES = [
    the_same_key_opens,
    another_key_does_not_open,
    without_a_key_nothing_opens,
    a_recording_opens_nothing,
    a_recording_opens_nothing_for_the_same_id,
    an_echo_opens_nothing,
    two_clients_prove_nothing_to_each_other,
    a_server_proves_nothing_first,
    what_was_changed_opens_nothing,
    what_was_done_is_not_said_to_run,
    nothing_is_answered_before_the_proof,
    a_proof_that_comes_twice_changes_nothing,
    each_session_has_new_nonces,
    an_end_that_starts_anew_is_met,
    what_became_of_calls_is_told_by_who_has_the_key,
    what_became_of_calls_is_told_until_it_has_been_heard,
    what_is_out_of_date_is_not_told,
    only_who_has_the_key_is_told_of_calls,
    a_stranger_tells_nothing_of_calls,
    strangers_fill_nothing,
    a_hello_has_no_byte_3,
]
