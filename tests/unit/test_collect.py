"""What is collected about commands from their sources."""

from __future__ import annotations

from moat.micro.collect import ROOT, collect, module_name

TREE = '''
class BaseCmd:
    """A node."""

    async def cmd_dir_(self) -> "Any":
        """Tell what is here.

        And more about that.
        """

class DirCmd(BaseCmd):
    pass
'''
APP = '''
from moat.micro.cmd import tree
from moat.micro.cmd.tree import BaseCmd as Base

class Plain:
    async def cmd_no(self): pass

class Part(tree.DirCmd):
    """Belongs to something."""

class App(Base):
    """Does things."""

    MORE = "app.more:More"
    value = 1

    async def cmd_set(self, a: "int", b=2, *rest, key="x", **kw: "Any") -> None:
        """Set it."""

    async def cmd_none(self):
        pass

    async def stream_watch(self, st, interval_ms: "int" = 100):
        """Watch it."""

    async def other(self): pass

class Child(App):
    async def cmd_only(self, n, *, limit=_LIMIT): "Only here."
'''
FOUND = collect({"moat.micro.cmd.tree": TREE, "app.x": APP})


def test_only_classes_of_commands_are_described() -> None:
    tree = {ROOT, "moat.micro.cmd.tree:DirCmd"}
    assert set(FOUND) == tree | {"app.x:Part", "app.x:App", "app.x:Child"}


def test_parameters_and_first_lines() -> None:
    assert FOUND["app.x:App"]["doc"] == "Does things."
    assert FOUND["app.x:App"]["c"] == {
        "set": ["a, b=2, *rest, key='x', **kw", "Set it."],
        "none": ["", ""],
    }
    assert FOUND["app.x:App"]["s"] == {"watch": ["interval_ms=100", "Watch it."]}
    assert FOUND["app.x:Child"]["c"] == {"only": ["n, *, limit=_LIMIT", "Only here."]}
    assert FOUND[ROOT]["c"] == {"dir_": ["", "Tell what is here."]}


def test_where_there_is_more() -> None:
    assert FOUND["app.x:App"]["base"] == ROOT
    assert FOUND["app.x:App"]["more"] == "app.more:More"
    assert FOUND["app.x:Child"]["base"] == "app.x:App"
    assert FOUND["app.x:Part"]["base"] == "moat.micro.cmd.tree:DirCmd"
    assert "base" not in FOUND[ROOT]


def test_a_class_that_derives_from_itself_is_no_end_of_work() -> None:
    assert collect({"a": "class A(A): pass"}) == {}


def test_names_of_modules() -> None:
    assert module_name("moat/micro/app/sys.py") == "moat.micro.app.sys"
    assert module_name("asyncio/__init__.py") == "asyncio"
    assert module_name("msgpack.py") == "msgpack"
