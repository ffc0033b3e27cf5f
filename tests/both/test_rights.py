"""What a link may do, and how one might try to get round it."""

from _commands import App, Hop, end, idle, joined, outcome
from _helpers import raises, until
from _memory import pair

from moat.micro import rt
from moat.micro.cmd.call import Call, options
from moat.micro.cmd.rights import LEAST, Rights
from moat.micro.cmd.tree import BaseCmd, DirCmd, Dispatch
from moat.micro.errors import MessageTooLongError, NotFoundError, NotPermittedError


class Sys(BaseCmd):
    """As that of a device."""

    async def cmd_ping(self, m=None):
        return m

    async def cmd_info(self):
        return {}

    async def cmd_reset(self):
        ran.append("reset")

    async def stream_log(self, st):
        ran.append("log")


ran = []


def tree():
    """Return a whole tree; paths of letters lead to `s` and `a`."""
    sub = {"sys": Sys(), "app": App(), "deep": DirCmd({"app": App(), "other": App()})}
    sub["s"], sub["a"] = sub["sys"], sub["app"]
    return Dispatch(sub)


@rt.asynccontextmanager
async def guarded(allow=LEAST, base="", root=None):
    """Yield a caller that has only these rights."""
    a, b = pair(1 << 16, 1 << 16)
    near = end(a)
    far = end(b, Rights(root or tree(), allow, base))
    async with near, far:
        await near.ready()
        await far.ready()
        yield near
        await idle(near, far)


async def refused(near, *paths):
    """Each of these has to be refused, in the same words whether it exists or not."""
    for path in paths:
        with raises(NotPermittedError) as info:
            await near.call(path)
        assert "not permitted on this link: see its `rights`" in str(info.exc)
        assert "there is" not in str(info.exc)
        async with near.stream(path) as st:
            with raises(NotPermittedError):
                await st.recv()


async def test_a_network_link_may_ping_and_ask_who_is_there():
    ran.clear()
    async with guarded() as near:
        assert await near.call(["sys", "ping"], 5) == 5
        assert await near.call(["sys", "info"]) == {}
        await refused(near, ["sys", "reset"], ["app", "add"], ["dir_"], ["sys", "dir_"])
        near.notify(["sys", "reset"])
        near.notify(["app", "bad"], "value")
    assert ran == []


async def test_it_does_not_learn_what_exists():
    async with guarded() as near:
        await refused(
            near, ["nothing"], ["sys", "nothing"], ["sys", "ping", "x"], ["sys"], [],
            ["sys.reset"], ["sys.ping"],
        )  # fmt: skip
    for path in (
        [None],
        ["sys", None],
        [["sys", "ping"]],
        [b"sys", "ping"],
        [b"sys", b"ping"],
        [{}],
    ):
        with raises(NotPermittedError):
            Rights(tree()).find(path)


async def test_it_causes_no_import():
    looked = []

    class Door(BaseCmd):
        def child(self, name):
            looked.append(name)

    root = Dispatch({"d": Door(), "e": "no_such_module:App", "sys": Sys()})
    async with guarded(root=root) as near:
        await refused(near, ["d", "x"], ["d", "sys", "ping"], "dx", ["e", "x"], "ex")
    async with guarded(("d.x.y", "e.ping"), root=root) as near:
        await refused(near, ["d", "xx", "y"], "dxx", "dx", ["e"], "epin", "e")
    assert looked == []


async def test_letters_are_resolved_first():
    ran.clear()
    async with guarded() as near:
        await refused(near, "sreset", "sys.reset", "aecho", "s", "", "x", "sping")
        assert ran == []
    async with guarded(("s.ping",)) as near:
        assert await near.call("sping", 3) == 3
        await refused(near, "sreset", "slog", "spin", ["sys", "ping"])
    async with guarded(("s",)) as near:
        assert await near.call("sping", 3) == 3
        await refused(near, "aecho")


async def test_a_prefix_of_a_name_is_not_a_prefix_of_a_path():
    async with guarded(("sys.pin", "ap", "deep.ap")) as near:
        await refused(near, ["sys", "ping"], ["app", "add"], ["deep", "app", "add"])


async def test_an_entry_allows_what_is_below_it():
    async with guarded(("deep.app", "app.add")) as near:
        assert await near.call(["deep", "app", "add"], 1) == 3
        assert "add" in (await near.call(["deep", "app", "dir_"]))["c"]
        async with near.stream(["deep", "app", "count"], 3) as st:
            assert await st.recv() == 0
        with raises(NotFoundError) as info:
            await near.call(["deep", "app", "ad"])
        assert "add" in str(info.exc)
        assert await near.call(["app", "add"], 1) == 3
        await refused(near, ["deep", "other", "add"], ["deep", "dir_"], ["app", "echo"])


async def test_everything_can_be_allowed():
    async with guarded(("",)) as near:
        assert await near.call(["app", "add"], 1) == 3
        with raises(NotFoundError):
            await near.call(["nothing"])


async def test_a_link_may_have_a_part_of_the_tree_as_its_root():
    async with guarded(("app",), "deep") as near:
        assert await near.call(["app", "add"], 1) == 3
        await refused(near, ["sys", "ping"], ["deep", "app", "add"], ["other", "add"], ["dir_"])
    async with guarded(("",), "deep") as near:
        assert sorted((await near.call(["dir_"]))["d"]) == ["app", "other"]
    async with guarded(("",), "gone") as near:
        with raises(NotFoundError, NotPermittedError):
            await near.call(["app", "add"])


async def test_rights_go_through_links():
    # A stranger at device 1, behind which is device 2, with all rights for its neighbour.
    one, two = Hop("one"), Hop("two")
    async with joined(one, two), guarded(("app", "next.app.add"), root=one.root) as near:
        assert await near.call(["next", "app", "add"], 1) == 3
        await refused(
            near, ["next", "app", "echo"], ["next", "back", "app", "add"], "naadd",
            ["next", "dir_"], ["next"], ["n", "app", "add"],
        )  # fmt: skip
        # The way back is no way in.
        path = ["next", "app", "call_back"]
        with raises(NotPermittedError):
            await near.request(Call(), path, (["app", "add"],), None, options(trace=True))


async def test_what_a_link_does_not_take_is_an_error():
    one, two = Hop("one"), Hop("two")
    async with joined(one, two, limit=512), guarded(("next",), root=one.root) as near:
        for path in (["next", "app", "echo"], ["next", "app", "x" * 200]):
            with raises(MessageTooLongError):
                await near.call(path, bytes(600))
            async with near.stream(path, bytes(600)) as st:
                with raises(MessageTooLongError):
                    await st.recv()
        near.notify(["next", "app", "echo"], bytes(600))
        assert await near.call(["next", "app", "add"], 1) == 3


async def test_a_link_may_be_the_root():
    one, two = Hop("one"), Hop("two")
    async with joined(one, two):
        for allow in (("",), ("app.add",)):
            async with guarded(allow, "next", one.root) as near:
                assert await near.call(["app", "add"], 1) == 3
        async with guarded(("app.add",), "next", one.root) as near:
            await refused(near, ["app", "echo"], ["sys", "ping"], "aecho", "add")
        async with guarded(("",), "next.app", one.root) as near:
            await refused(near, ["add"], ["app", "add"])


async def test_what_was_refused_ends():
    async with guarded() as near, rt.TaskGroup() as tg:
        log = []
        for _ in range(10):
            tg.start_soon(outcome, log, near, ["app", "wait"])
        await until(lambda: len(log) == 10)
        for exc in log:
            assert isinstance(exc, NotPermittedError)


async def test_an_entry_that_is_no_path_is_an_error():
    for allow in (("a..b",), ('a"',), (".",), (None,), ([],), (0,), (b"",), ({},)):
        with raises(ValueError, TypeError):
            Rights(tree(), allow)
