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


async def test_what_is_something_else_is_told():
    root = Dispatch({"app": App(), "deep": DirCmd({"app": App()})})
    async with linked(root) as (near, _):
        for path, what in (
            (["app", "count"], "no 'count' in 'app', it is a stream; there is: "),
            (["app"], "no 'app', it is a level; there is: "),
            (["deep", "app"], "no 'app' in 'deep', it is a level; "),
            (["app", "add", "x"], "no 'add' in 'app', it is a call; "),
            (["app", "none"], "no 'none' in 'app'; "),
        ):
            with raises(NotFoundError) as info:
                await near.call(path)
            assert str(info.exc).startswith(what), info.exc
        async with near.stream(["app", "add"]) as st:
            with raises(NotFoundError) as info:
                await st.recv()
        assert str(info.exc).startswith("no 'add' in 'app', it is a call; ")


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
