"""Paths of calls: strings whose letters lead on, and paths that lead nowhere."""

from _commands import App, linked
from _helpers import ON_DEVICE, raises

from moat.micro.cmd.tree import DirCmd, Dispatch
from moat.micro.errors import ArgumentError, NotFoundError


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


async def test_names_of_any_length():
    async with linked() as (near, _):
        for n in (1, 60, 255, 256, 900):
            name = "n" * n
            for path in (name, [name], ["app", name], [name, "x"]):
                with raises(NotFoundError):
                    await near.call(path)
            with raises(ArgumentError):
                await near.request(None, ["app", "add"], (1,), {name: 2})


async def test_names_of_arguments_may_be_anything_where_a_command_takes_any():
    async with linked() as (near, _):
        for n in range(5):
            kw = {"never heard of %d" % n: n, "b": 2}
            assert await near.request(None, ["app", "echo"], (), kw) == [[], kw]


async def test_items_may_be_anything():
    root = Dispatch({"app": App(), "deep": DirCmd({"app": App()})})
    async with linked(root) as (near, _):
        for item in (None, True, -1, 1 << 40, 2.5, b"app", ["app"], {"app": 1}, [], {}, ""):
            for path in ([item], [item, "add"], ["app", item], ["deep", item, "x"]):
                with raises(NotFoundError):
                    await near.call(path)


async def test_what_is_no_item_of_a_path_is_not_sent():
    deep = []
    for _ in range(40):
        deep = [deep]
    async with linked() as (near, far):
        for item in (object(), 1 << 70, -(1 << 64), deep, 2.5, None, b"add"):
            for call in (near.call, near.notify):
                with raises(NotFoundError):
                    result = call(["app", item], 1)
                    if result is not None:
                        await result
        assert await near.call(["app", "add"], 1) == 3
        assert far.core.skipped == 0


async def test_a_text_that_is_none_is_not_sent():
    async with linked() as (near, _):
        if not ON_DEVICE:  # MicroPython takes it for one
            for path in ("\ud800", ["app", "\ud800"]):
                with raises(UnicodeError):
                    await near.call(path)
        assert await near.call(["app", "add"], 1) == 3
