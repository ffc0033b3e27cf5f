"""Paths of calls: strings whose letters lead on, and paths that lead nowhere."""

from _commands import App, linked
from _helpers import raises

from moat.micro.cmd.tree import DirCmd, Dispatch
from moat.micro.errors import NotFoundError


async def test_the_letters_of_a_string_lead_from_level_to_level():
    app = App()
    root = Dispatch({"a": app, "s": DirCmd({"a": app, "x": DirCmd({})})})
    async with linked(root) as (near, _):
        assert await near.call("aecho", 1) == [[1], {}]
        assert await near.call("saecho", 1) == [[1], {}]
        assert await near.call("dir_") == await near.call(["dir_"])
        async with near.stream("a" + "count", 2) as st:
            assert await st.recv() == 0
        for path, missing, exists in (
            ("anix", "'nix' in 'a'", ("add", "echo")),
            ("sanix", "'nix' in 'sa'", ("add", "echo")),
            ("q", "'q'", ("a, s",)),
            ("sx", "'x' in 's'", ("x, a, dir_",)),
            ("qadd", "'qadd'", ("a, dir_, doc_, rdy_, s",)),
        ):
            with raises(NotFoundError) as info:
                await near.call(path)
            assert missing in str(info.exc), str(info.exc)
            for name in exists:
                assert name in str(info.exc), str(info.exc)


async def test_what_is_there_but_something_else_is_said_to_be_that():
    async with linked() as (near, _):
        for path, says in (
            (["app", "count"], "'count' in 'app' is a stream, not a call"),
            (["app", "add", "x"], "'add' in 'app' is a command, there is nothing below it"),
            (["app", "count", "x"], "'count' in 'app' is a command, there is nothing below it"),
            (["sub", "app"], "'app' in 'sub' is a level, not a command; 'sub.app.dir_' tells"),
            (["app"], "'app' is a level, not a command; 'app.dir_' tells what it has"),
        ):
            with raises(NotFoundError) as info:
                await near.call(path)
            assert str(info.exc).startswith(says), str(info.exc)
        with raises(NotFoundError) as info:
            async with near.stream(["app", "add"], 1) as st:
                await st.recv()
        assert str(info.exc) == "'add' in 'app' is a call, not a stream", str(info.exc)


async def test_what_exists_has_streams_too_marked():
    async with linked() as (near, _):
        with raises(NotFoundError) as info:
            await near.call(["app", "cuont"])
        assert "there is: count ~, " in str(info.exc), str(info.exc)


async def test_near_matches_come_first():
    async with linked() as (near, _):
        with raises(NotFoundError) as info:
            await near.call(["app", "wai7"])
        assert "there is: wait, " in str(info.exc), str(info.exc)
