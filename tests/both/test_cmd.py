"""Calls over CmdMsg, their arguments, results and errors."""

from _commands import App, Raw, end, frame, idle, linked, outcome, tree
from _helpers import forever, raises, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd._wire import CALL, CREDIT, ERROR, ITEM, REPLY
from moat.micro.cmd.tree import BaseCmd, DirCmd, Dispatch
from moat.micro.errors import (
    ArgumentError,
    BusyError,
    MessageTooLongError,
    NotFoundError,
    ProtocolError,
    RemoteError,
)


async def test_arguments_arrive_positional_by_name_and_both():
    async with linked() as (near, far):
        assert await near.call(["app", "add"], 1) == 3
        assert await near.call(["app", "add"], 1, 5) == 6
        assert await near.call(["app", "add"], a=1, b=7) == 8
        assert await near.call(["app", "add"], 1, b=7) == 8
        assert await near.call(["app", "echo"]) == [[], {}]
        assert await near.call(["app", "echo"], {"a": 1}) == [[{"a": 1}], {}]
        assert await near.call(["app", "echo"], [], x=None) == [[[]], {"x": None}]
        assert await near.call(["sub", "app", "echo"], 1, [2], z={}) == [[1, [2]], {"z": {}}]
        await idle(near, far)


async def test_any_value_comes_back_as_it_went():
    values = [None, True, 0, -1, 1 << 63, -(1 << 63), 0.5, "", "tést", b"\xc1\x03", bytes(500)]
    values += [[], [[1], []], {}, {"a": {"b": [1]}}, {1: "pin", -5: None}]
    async with linked(chunk=7) as (near, _):
        for value in values:
            assert await near.call(["app", "same"], value) == value


async def test_each_reply_reaches_its_caller():
    log = []
    async with linked() as (near, far):
        async with rt.TaskGroup() as tg:
            for i in range(10):
                tg.start_soon(outcome, log, near, ["app", "yield"], 50 - 5 * i, i)
        assert sorted(log) == list(range(10))
        assert log != list(range(10))
        await idle(near, far)


async def test_both_sides_call_each_other_at_once():
    class Back(BaseCmd):
        async def cmd_twice(self, x):
            return await cmds[0].call(["app", "add"], x, await cmds[1].call(["app", "same"], x))

    cmds = []
    a, b = pair(size=10, chunk=3)
    roots = [Dispatch({"app": App(), "back": Back()}) for _ in range(2)]
    near, far = end(a, roots[0]), end(b, roots[1])
    async with near, far:
        cmds[:] = [near, far]
        await near.ready()
        await far.ready()
        log = []
        async with rt.TaskGroup() as tg:
            for i in range(5):
                tg.start_soon(outcome, log, near, ["back", "twice"], i)
                tg.start_soon(outcome, log, far, ["back", "twice"], i)
        assert sorted(log) == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
        await idle(near, far)


# ---- errors


async def test_an_error_of_a_known_type_is_raised_as_it_was():
    async with linked() as (near, far):
        for how, cls, args in (
            ("value", ValueError, ("text", 3)),
            ("key", KeyError, ("missing",)),
            ("none", RuntimeError, ()),
            ("type", TypeError, ("inside",)),
        ):
            with raises(cls) as info:
                await near.call(["app", "bad"], how)
            assert type(info.exc) is cls
            assert info.exc.args == args
        await idle(near, far)


async def test_an_oserror_has_its_errno():
    async with linked() as (near, _):
        with raises(OSError) as info:
            await near.call(["app", "bad"], "os")
        assert info.exc.errno == info.exc.args[0] == 5


async def test_an_error_of_an_unknown_type_says_what_it_was():
    async with linked() as (near, _):
        with raises(RemoteError) as info:
            await near.call(["app", "bad"], "odd")
        assert info.exc.args == ("OddError", ["odd", "[1, 2]"])
        assert str(info.exc) == "OddError: odd, [1, 2]"


async def test_no_error_of_a_command_harms_the_link():
    async with linked(limit=400) as (near, far):
        with raises(ValueError) as info:
            await near.call(["app", "bad"], "unprintable")
        assert info.exc.args == ("<Unprintable, whose repr raises KeyError>",)
        with raises(ValueError) as info:
            await near.call(["app", "bad"], "big")
        assert info.exc.args == (str(1 << 70),)
        with raises(SyntaxError, RemoteError) as info:
            await near.call(["app", "bad"], "syntax")
        assert "bad" in str(info.exc)
        with raises(ValueError) as info:
            await near.call(["app", "bad"], "long")
        assert str(info.exc).startswith("much much ")
        assert str(info.exc).endswith("...")
        assert await near.call(["app", "add"], 1) == 3
        await idle(near, far)


async def test_a_result_that_cannot_be_sent_is_an_error():
    async with linked(limit=400) as (near, far):
        with raises(TypeError):
            await near.call(["app", "object"])
        with raises(MessageTooLongError) as info:
            await near.call(["app", "bytes"], 400)
        assert "the peer takes" in str(info.exc)
        assert len(await near.call(["app", "bytes"], 300)) == 300
        await idle(near, far)


async def test_arguments_that_cannot_be_sent_are_an_error_and_leave_no_trace():
    async with linked() as (near, far):
        for value, cls in ((object(), TypeError), (bytes(5000), MessageTooLongError)):
            with raises(cls):
                await near.call(["app", "same"], value)
            assert not near.core.calls
            assert not near.core.out
        with raises(MessageTooLongError):
            await near.call(["app"] * 2000)
        assert await near.call(["app", "same"], bytes(3000)) == bytes(3000)
        await idle(near, far)


async def test_wrong_arguments_are_told_from_errors_inside():
    log = []
    async with linked(tree(App(log))) as (near, _):
        for args, kw in (((), {}), ((1, 2, 3), {}), ((1,), {"c": 1}), ((1,), {"a": 1})):
            with raises(ArgumentError):
                await near.call(["app", "add"], *args, **kw)
        with raises(TypeError):
            await near.call(["app", "add"], "text", 1)
        with raises(ArgumentError):
            await near.call(["app", "bad"])
        assert not log


async def test_an_unknown_path_names_what_is_missing_and_what_exists():
    async with linked() as (near, _):
        for path, missing, exists in (
            (["nix"], "'nix'", ("app", "sub")),
            (["nix", "x"], "'nix'", ("app", "sub")),
            (["sub", "nix", "x"], "'nix' in 'sub'", ("app",)),
            (["app", "nix"], "'nix' in 'app'", ("add", "echo", "wait")),
            (["app", 5], "'5'", ("add",)),
        ):
            with raises(NotFoundError) as info:
                await near.call(path)
            assert missing in str(info.exc), str(info.exc)
            listed = str(info.exc).split("there is: ")[1]
            for name in exists:
                assert name in listed, str(info.exc)
        with raises(NotFoundError):
            await near.call([])


async def test_odd_paths_are_errors_and_no_more():
    async with linked() as (near, far):
        for path in ([["app"], "add"], [{}, {}], [None], ["app", None], ["app", b"add"], [""]):
            with raises(NotFoundError, TypeError):
                await near.call(path)
        # No attribute but the commands can be reached.
        for name in ("log", "__class__", "_x", "cmd_add"):
            with raises(NotFoundError):
                await near.call(["app", name])
        await idle(near, far)


async def test_a_side_without_commands_says_so():
    async with linked() as (_, far):
        with raises(NotFoundError) as info:
            await far.call(["x"])
        assert "no commands" in str(info.exc)


async def test_a_directory_lists_itself():
    async with linked() as (near, _):
        everywhere = ["dir_", "doc_", "rdy_", "stp_", "upd_"]
        assert await near.call(["dir_"]) == {"c": everywhere, "s": [], "d": ["app", "sub"]}
        here = await near.call(["sub", "app", "dir_"])
        assert here["s"] == ["bad", "count", "deaf", "sum"]
        assert "add" in here["c"]
        assert here["d"] == []


async def test_an_app_is_imported_when_it_is_first_used():
    root = Dispatch({"lazy": "_commands:App", "bad": "no_such_module:App"})
    async with linked(root) as (near, _):
        assert (await near.call(["dir_"]))["d"] == ["bad", "lazy"]
        assert isinstance(root.sub["lazy"], str)
        assert await near.call(["lazy", "add"], 1) == 3
        assert isinstance(root.sub["lazy"], App)
        for _ in range(2):
            with raises(ImportError, RemoteError):
                await near.call(["bad", "x"])


async def test_a_plain_function_is_no_command():
    class Wrong(BaseCmd):
        def cmd_plain(self):
            return 5

        cmd_value = 7

    async with linked(Dispatch({"app": Wrong()})) as (near, far):
        for name in ("plain", "value"):
            with raises(TypeError, AttributeError, ArgumentError):
                await near.call(["app", name])
        await idle(near, far)


async def test_a_command_that_is_cancelled_from_within_ends_the_call():
    class Odd(BaseCmd):
        async def cmd_give_up(self):
            async with rt.TaskGroup() as tg:
                tg.start_soon(forever)
                far.core.served[min(far.core.served)].task.cancel()
                await rt.sleep_ms(10000)

    async with linked(Dispatch({"app": Odd(), "sub": DirCmd({})})) as (near, far):
        with raises(RemoteError) as info:
            await near.call(["app", "give_up"])
        assert info.exc.args[0] == "CancelledError"
        await idle(near, far)


# ---- limits


async def test_more_calls_than_may_run_are_refused():
    log = []
    a, b = pair()
    near, far = end(a), end(b, tree(App(log)), max_served=3)
    async with near, far:
        await near.ready()
        async with rt.TaskGroup() as tg:
            for _ in range(3):
                tg.start_soon(near.call, ["app", "wait"])
            await until(lambda: log.count("started") == 3)
            with raises(BusyError) as info:
                await near.call(["app", "add"], 1)
            assert "3" in str(info.exc)
            tg.cancel()
        await idle(near, far)
        assert await near.call(["app", "add"], 1) == 3


async def test_the_number_of_calls_under_way_is_limited():
    a, b = pair()
    async with end(a) as near, Raw(b) as raw:
        await raw.open()
        await near.ready()
        log = []
        async with rt.TaskGroup() as tg:
            for _ in range(95):
                tg.start_soon(outcome, log, near, ["x"])
            await until(lambda: len(near.core.calls) == 95)
            with raises(BusyError):
                await near.call(["x"])
            for _ in range(95):
                msg = await raw.expect(CALL)
                await raw.send(REPLY, msg[1])
        assert log == [None] * 95
        await idle(near)


# ---- a peer that does not keep to the protocol


async def test_malformed_arguments_are_an_error_for_the_caller():
    a, b = pair()
    async with end(a, tree()) as cmd, Raw(b) as raw:
        await raw.open()
        for data in (b"\x92\x01", b"\xc0", b"\x05", b"\x90\x80\x80", b"\x90\x05", 5, "x", [1]):
            await raw.send(CALL, 7, ["app", "echo"], data)
            msg = await raw.expect(ERROR, REPLY)
            assert msg[:2] == [ERROR, 7], (data, msg)
            assert msg[2][0] == "ArgumentError"
        await raw.send(CALL, 7, ["app", "add"], b"\x91\x01\x81\x01\x02")  # a number as a name
        assert (await raw.expect(ERROR, REPLY))[2][0] == "ArgumentError"
        await raw.send(CALL, 7, ["app", "add"], b"\x91\x01")
        assert (await raw.expect(ERROR, REPLY))[:2] == [REPLY, 7]
        await idle(cmd)


async def test_malformed_replies_are_errors_for_the_caller():
    a, b = pair()
    log = []
    async with end(a) as cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        answers = [(REPLY, b"\x92\x01"), (REPLY, 5), (REPLY, [1]), (REPLY, "")]
        answers += [(ERROR,), (ERROR, 5), (ERROR, []), (ERROR, [5]), (ERROR, {})]
        async with rt.TaskGroup() as tg:
            for answer in answers:
                tg.start_soon(outcome, log, cmd, ["x"])
                ident = (await raw.expect(CALL))[1]
                await raw.send(answer[0], ident, *answer[1:])
        assert len(log) == len(answers)
        for exc in log:
            assert isinstance(exc, ProtocolError), exc
        await idle(cmd)


async def test_what_belongs_to_streams_does_not_harm_calls():
    a, b = pair()
    log = []
    async with end(a, tree()) as cmd, Raw(b) as raw:
        await raw.open()
        await cmd.ready()
        async with rt.TaskGroup() as tg:
            tg.start_soon(outcome, log, cmd, ["x"])
            ident = (await raw.expect(CALL))[1]
            await raw.send(ITEM, ident, b"\x05")
            await raw.send(REPLY, ident, b"\x07")
        assert log == [7]
        await raw.send(CALL, 9, ["app", "yield"], b"\x92\x05\x06")
        await raw.send(CREDIT, 9, 100)
        assert await raw.expect(REPLY, ERROR) == [REPLY, 9, b"\x06"]


async def test_garbage_on_the_line_leaves_the_link_usable():
    a, b = pair(hangs_up=False)
    rubbish = [
        b"plain text",
        b"\x03\xff\xfe\x00",
        b"\xc1",  # truncated, in all stages
        b"\xc1\xc5\x04",
        b"\xc1\xda\x03\xe8" + b"text" * 10,
        b"\xc1\xc4\xff\xc1\xc4\xff\xc1\x93\xc1\x08",
        b"\xc1\xc6\xff\xff\xff\xff",  # oversized
        frame(bytes(3000)) * 3,
        frame("no array") + frame([]) + frame([77, 1]) + frame([None]) + frame({0: 1}),
        frame([REPLY, 3, b"\x05"]) + frame([REPLY]) + frame([ERROR, []]) + frame([[]]),
        frame(b"\x08") + frame([CALL]) + frame([CALL, 1, "path"]) + frame([0, 1, 2, 3, 4]),
    ]
    near, far = end(a, tree(), 2000), end(b, tree(), 2000)
    async with near, far:
        await near.ready()
        await far.ready()
        for data in rubbish:
            for side, buf in ((near, a), (far, b)):
                buf.inject(data)
                await until(
                    lambda b=buf, s=side: not b.inp.data and not s.s.look_ahead().unsettled()
                )
            assert await near.call(["app", "same"], data[:500]) == data[:500]
            assert await far.call(["app", "add"], 1) == 3
        assert near.s.errors > 8
        assert near.core.skipped > 5
        await idle(near, far)


async def test_a_message_that_swallows_the_next_one_only_delays_it():
    async with linked() as (near, far):
        far.s.s.inject(b"\xc1\xc5\x01\x00")  # announces 256 bytes
        assert await near.call(["app", "add"], 1) == 3
        near.s.s.inject(b"\xc1\xc5\x01\x00")
        assert await near.call(["app", "add"], 2) == 4
        assert near.s.errors == far.s.errors == 1
        await idle(near, far)
