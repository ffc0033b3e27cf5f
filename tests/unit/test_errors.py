"""Exceptions on their way over the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb, unpackb

from moat.micro import call_errors, errors
from moat.micro.cmd import _errors as wire
from moat.micro.cmd._errors import from_wire, to_wire
from moat.micro.errors import (
    MoatError,
    NotFoundError,
    ProtocolError,
    RemoteError,
)

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
KNOWN = [c for c in wire._OWN + wire._BUILTIN if c is not SyntaxError]


def over_the_wire(exc):
    return from_wire(unpackb(packb(to_wire(exc))))


@given(st.sampled_from(KNOWN), st.lists(SCALARS, max_size=3))
def test_a_known_type_arrives_with_its_arguments(cls, args):
    if cls is OSError and len(args) >= 2:
        args = args[:1]  # else it becomes one of its subclasses
    exc = over_the_wire(cls(*args))
    assert type(exc) is cls
    assert exc.args == tuple(args)


def test_every_error_of_ours_that_a_command_may_raise_is_known():
    leaves = {
        cls
        for cls in [*vars(errors).values(), *vars(call_errors).values()]
        if isinstance(cls, type) and issubclass(cls, MoatError) and not cls.__subclasses__()
    }
    assert leaves - {RemoteError} == set(wire._OWN)


def test_the_number_of_an_oserror_makes_its_type():
    assert to_wire(FileNotFoundError(2, "no such file")) == ["OSError", 2, "no such file"]
    assert type(over_the_wire(FileNotFoundError(2, "no such file"))) is FileNotFoundError
    assert type(over_the_wire(OSError(2))) is OSError
    assert over_the_wire(TimeoutError("late")).args == ("TimeoutError", ["late"])


class OddError(Exception):
    """Of a type that only this side knows."""


def test_an_unknown_type_becomes_a_remote_error():
    exc = over_the_wire(OddError("it", 7))
    assert type(exc) is RemoteError
    assert exc.args == ("OddError", ["it", 7])
    assert str(exc) == "OddError: it, 7"
    assert str(over_the_wire(OddError())) == "OddError: "


def test_a_remote_error_is_passed_on_unchanged():
    exc = over_the_wire(over_the_wire(OddError("it", b"\xff")))
    assert exc.args == ("OddError", ["it", b"\xff"])
    assert over_the_wire(RemoteError("one")).args == ("RemoteError", ["one"])


@pytest.mark.parametrize(
    "arg", [[1], {}, object, 1 << 64, -(1 << 63) - 1, "\udc80", ("a", 2), 1j, bytearray(b"x")]
)
def test_any_other_argument_becomes_its_repr(arg):
    assert over_the_wire(ValueError(arg, 5)).args == (repr(arg), 5)


def test_a_syntax_error_keeps_its_text():
    with pytest.raises(SyntaxError) as info:
        compile("1 +", "file", "exec")
    exc = over_the_wire(info.value)
    assert "invalid syntax" in str(exc)
    assert isinstance(over_the_wire(SyntaxError("bad")), SyntaxError)


@given(st.recursive(SCALARS, lambda sub: st.lists(sub, max_size=4), max_leaves=8))
def test_anything_gives_an_exception(err):
    assert isinstance(from_wire(err), Exception)


@given(st.sampled_from([*KNOWN, SyntaxError, RemoteError, OddError]), st.lists(SCALARS))
def test_any_arguments_give_an_exception(cls, args):
    assert isinstance(from_wire([cls.__name__, *args]), Exception)


@pytest.mark.parametrize("err", [None, [], [5], "ValueError", {"a": 1}])
def test_what_is_no_error_is_a_protocol_error(err):
    assert isinstance(from_wire(err), ProtocolError)


def test_the_hierarchy_is_what_callers_rely_on():
    assert issubclass(errors.LinkLost, errors.LinkError)
    assert issubclass(errors.LinkReset, errors.LinkError)
    assert issubclass(NotFoundError, errors.CallError)
    assert not issubclass(errors.LinkError, errors.CallError)
