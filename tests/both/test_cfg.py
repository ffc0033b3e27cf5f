"""The app `cfg`: what it changes, when it writes, and what the apps get of it."""

from _apps import call, fresh, log
from _commands import linked
from _helpers import raises, settle

from moat.micro.cmd.apps import build
from moat.micro.cmd.cfg import CfgCmd
from moat.micro.errors import NotFoundError

CFG = {"apps": {"a": "_apps:Told"}, "a": {"name": "a", "password": "hunter2"}}


class File:
    """In memory."""

    damaged = False

    def __init__(self, cfg):
        self.cfg = cfg
        self.saves = 0

    def load(self):
        if self.damaged:
            raise ValueError("the config file is damaged")
        return self.cfg

    def save(self, cfg):
        self.cfg = cfg
        self.saves += 1


async def never(entries):
    raise AssertionError("nothing is to be applied")


async def test_changes_are_made_and_seen_before_they_are_written():
    file = File(CFG)
    async with linked(build({}, {"cfg": CfgCmd(file, never)})) as (near, _):
        assert await near.call(["cfg", "get"], ["a", "name"]) == "a"
        await near.call(["cfg", "set"], ["a", "name"], "b")
        await near.call(["cfg", "delete"], ["apps"])
        assert await near.call(["cfg", "get"]) == {"a": {"name": "b", "password": "***"}}
        assert file.cfg == CFG
        await near.call(["cfg", "load"])
        assert await near.call(["cfg", "get"], ["a", "name"]) == "a"
        assert file.saves == 0


async def test_a_path_that_leads_nowhere_names_what_there_is():
    async with linked(build({}, {"cfg": CfgCmd(File(CFG), never)})) as (near, _):
        for name, args in (("get", ()), ("delete", ()), ("set", (1,))):
            path = ["a", "name", "x"] if name == "set" else ["a", "nme"]
            with raises(NotFoundError) as info:
                await near.call(["cfg", name], path, *args)
            assert str(info.exc).startswith("no '%s' in 'a" % path[-1])
        for path in (
            "a.name",
            b"a",
            {"a": 1},
            {0: 1},
            5,
            None,
            [["a"]],
            [{}],
            [b"a"],
            [None],
            [1.0],
        ):
            for name, args in (("get", ()), ("delete", ()), ("set", (1,))):
                with raises(ValueError):
                    await near.call(["cfg", name], path, *args)


async def test_save_writes_and_updates_the_apps_whose_sections_are_new():
    fresh()
    file = File(CFG)
    tree = build(CFG)

    async def apply(entries):
        await tree.update(entries)
        return True

    tree.sub["cfg"] = cfg = CfgCmd(file, apply)
    async with tree:
        await call(tree, ["a", "rdy_"], True)
        await settle()
        log.clear()
        assert await cfg.cmd_save() is True
        assert log == []
        await cfg.cmd_set(["a", "more"], 5)
        assert await cfg.cmd_save() is True
        assert log == ["told"]
        assert tree.child("a").settings == {"name": "a", "password": "hunter2", "more": 5}
        assert file.cfg["a"]["more"] == 5


async def test_a_config_that_makes_no_sense_is_not_written():
    file = File(CFG)
    cfg = CfgCmd(file, never, ("sys",))
    for path, value, where in (
        (["apps", "b"], "nonsense", "b: 'nonsense' is no class"),
        (["a", "restart"], {"base_ms": 0}, "a.restart: "),
        (["apps", "sys"], "m:A", "apps: 'sys' cannot be"),
    ):
        await cfg.cmd_set(path, value)
        with raises(ValueError) as info:
            await cfg.cmd_save()
        assert str(info.exc).startswith(where)
        await cfg.cmd_load()
    assert file.saves == 0


async def test_a_damaged_file_can_be_replaced():
    async def apply(entries):
        return False

    file = File(None)
    file.damaged = True
    cfg = CfgCmd(file, apply)
    assert await cfg.cmd_get() == {}
    with raises(ValueError):
        await cfg.cmd_load()
    await cfg.cmd_set([], CFG)
    assert await cfg.cmd_save() is False
    assert file.cfg == CFG
