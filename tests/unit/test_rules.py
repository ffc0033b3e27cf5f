"""The rules of CONTRIBUTING.md that no tool checks; each has a sample that breaks it."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PORTABLE, DEVICE, HOST = "firmware/portable/", "firmware/device/", "host/"
SIM = "firmware/sim/"
STOCK = "firmware/stock/"
PACKAGES = (PORTABLE, SIM, DEVICE, HOST, STOCK)

# What a protocol core may import, beside other cores.
CORE_IMPORTS = {
    "binascii", "hashlib", "moat.micro.const", "moat.micro.errors", "msgpack", "struct",
}  # fmt: skip

PACKAGE_NAMES = {"moat.micro", "moat.micro.cmd", "moat.micro.proto"}  # cores are taken from there

# What differs on the two sides, and so is the runtime's: not to be named, not to be imported.
NOT_NAMED = {"anyio", "asyncio", "machine", "micropython", "trio", "uasyncio"}
NOT_PORTABLE = NOT_NAMED | {"time", "utime"}

# What MicroPython lacks: allowed for the type checker only, below `if _TYPING:`.
NOT_ON_DEVICE = {"__future__", "abc", "contextlib", "dataclasses", "enum", "functools", "typing"}

# Packages that nothing imports but they themselves.
PRIVATE = ("moat.micro.cli", "moat.micro.testing", "tests")

# Contract modules whose two versions do not offer the same names, and why.
UNEQUAL_TWINS = {
    "moat/micro/proto/stream.py": "wraps what there is to wrap: files there, anyio's streams here",
}

MAX_FILE, MAX_FUNCTION = 400, 60

# The files of a tree: path -> text.
Tree = dict[str, str]
Rule = Callable[[Tree], Iterator[str]]


def read_tree() -> Tree:
    """All files of the project that a person wrote and that have rules."""
    suffixes = {".py", ".c", ".h", ".ld", ".mk", ".cmake", ".sh", ".toml", ".json", ".yml", ""}
    tree: Tree = {}
    for top in ROOT.iterdir():
        if top.name == "build" or (top.name.startswith(".") and top.name != ".ci"):
            continue
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and path.suffix in suffixes and path.name != "LICENSE":
                tree[path.relative_to(ROOT).as_posix()] = path.read_text()
    return tree


def modules(tree: Tree, *roots: str) -> Iterator[tuple[str, ast.Module]]:
    """The parsed Python files below `roots`."""
    for path, text in sorted(tree.items()):
        if path.endswith(".py") and path.startswith(roots or ("",)):
            yield path, ast.parse(text, path)


def nodes(top: ast.AST, typing: bool = True) -> Iterator[ast.AST]:
    """All nodes below `top`; without those below ``if _TYPING:`` when `typing` is false."""
    for node in ast.iter_child_nodes(top):
        yield node
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) == "_TYPING"
        if typing or not guarded:
            yield from nodes(node, typing)


def imports(top: ast.AST, typing: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of what is imported; ``from a import b`` gives both a and a.b."""
    for node in nodes(top, typing):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "."
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "__import__" and node.args:
            yield node.lineno, str(getattr(node.args[0], "value", ""))


def within(name: str, packages: Iterable[str]) -> bool:
    """True when `name` is one of `packages` or below one."""
    return any(name == p or name.startswith(p + ".") for p in packages)


def cores_are_pure(tree: Tree) -> Iterator[str]:
    """A core imports next to nothing and waits for nothing."""
    for path, module in modules(tree, PORTABLE):
        if not Path(path).name.startswith("_") or path.endswith("/_queue.py"):
            continue  # a layer; or the runtime's queue, which is no core
        for line, name in imports(module, typing=False):
            other_core = any(part.startswith("_") for part in name.split("."))
            if not other_core and not within(name, CORE_IMPORTS) and name not in PACKAGE_NAMES:
                yield f"{path}:{line}: a core does not import {name}"
        for node in ast.walk(module):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await):
                yield f"{path}:{node.lineno}: a core does no I/O and never waits"


def portable_is_portable(tree: Tree) -> Iterator[str]:
    """Portable code reaches what differs through rt only."""
    for path, module in modules(tree, PORTABLE):
        for line, name in imports(module):
            if within(name, NOT_PORTABLE):
                yield f"{path}:{line}: portable code imports {name}; use moat.micro.rt"
        for node in ast.walk(module):
            if isinstance(node, ast.Name) and node.id in NOT_NAMED:
                yield f"{path}:{node.lineno}: portable code names {node.id}; use moat.micro.rt"


def device_lacks(tree: Tree) -> Iterator[str]:
    """What MicroPython does not have is imported for the type checker only."""
    for path, module in modules(tree, PORTABLE, SIM, DEVICE, STOCK):
        for line, name in imports(module, typing=False):
            if within(name, NOT_ON_DEVICE):
                yield f"{path}:{line}: MicroPython has no {name}; move it below `if _TYPING:`"


def private_stays_private(tree: Tree) -> Iterator[str]:
    """Nothing imports cli, testing or tests, but they themselves."""
    for path, module in modules(tree, *PACKAGES):
        own = re.sub("^(?:{})".format("|".join(PACKAGES)), "", path).replace("/", ".")
        for line, name in imports(module):
            for package in PRIVATE:
                if within(name, (package,)) and not own.startswith(package + "."):
                    yield f"{path}:{line}: only {package} itself imports {name}"


def imports_are_absolute(tree: Tree) -> Iterator[str]:
    """Merged source roots need absolute imports of our own modules."""
    for path, module in modules(tree, *PACKAGES):
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield f"{path}:{node.lineno}: relative import"


def namespaces_only(tree: Tree) -> Iterator[str]:
    """One ``__init__.py`` would hide the other source roots."""
    for path in tree:
        if path.endswith("/__init__.py") and "/moat/" in path:
            yield f"{path}: no __init__.py below moat/"


def public_names(module: ast.Module) -> set[str] | None:
    """The contents of ``__all__``, None when there is none."""
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None


def twins_agree(tree: Tree) -> Iterator[str]:
    """A path exists twice in device + host only, and both offer the same."""
    found: dict[str, dict[str, ast.Module]] = {}
    for root in PACKAGES:
        for path, module in modules(tree, root):
            found.setdefault(path.removeprefix(root), {})[root] = module
    for path, versions in found.items():
        if len(versions) > 1 and PORTABLE in versions:
            yield f"{path}: in the portable root and in another one"
        elif len(versions) > 1:
            names = [public_names(module) for module in versions.values()]
            if None in names:
                yield f"{path}: both versions need an __all__"
            elif (names[0] == names[1]) == (path in UNEQUAL_TWINS):
                yield f"{path}: UNEQUAL_TWINS is not right about {names[0]} and {names[1]}"


def is_broad(handler: ast.ExceptHandler) -> bool:
    """True when it catches every error."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(c is None or ast.unparse(c) in ("Exception", "BaseException") for c in caught)


def is_idle(statement: ast.stmt) -> bool:
    """True when it does nothing."""
    return isinstance(statement, ast.Pass | ast.Continue) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def errors_are_not_swallowed(tree: Tree) -> Iterator[str]:
    """A broad except does something."""
    for path, module in modules(tree):
        for node in ast.walk(module):
            if (
                isinstance(node, ast.ExceptHandler)
                and is_broad(node)
                and all(map(is_idle, node.body))
            ):
                yield f"{path}:{node.lineno}: swallows every error"


def sizes_are_bounded(tree: Tree) -> Iterator[str]:
    """Files and functions stay short enough to be read."""
    for path, text in tree.items():
        lines = text.count("\n")
        if lines > MAX_FILE:
            yield f"{path}: {lines} lines, at most {MAX_FILE}"
    for path, module in modules(tree):
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION:
                    yield f"{path}:{node.lineno}: {node.name} has {lines} lines"


def public_functions(
    top: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public functions and methods of a module, constructors included."""
    for node in top.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            node.name == "__init__" or not node.name.startswith("_")
        ):
            yield node


def portable_is_typed(tree: Tree) -> Iterator[str]:
    """Public functions of portable code are annotated: the host's strict check needs that."""
    for path, module in modules(tree, PORTABLE, SIM):
        for node in public_functions(module):
            a = node.args
            args = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
            bare = [x.arg for x in args if x and not x.annotation and x.arg not in ("self", "cls")]
            if node.returns is None and node.name != "__init__":
                bare.append("return")
            if bare:
                yield f"{path}:{node.lineno}: {node.name} lacks types: {', '.join(bare)}"


def files_say_what_they_are(tree: Tree) -> Iterator[str]:
    """A module has a docstring, any other file names its licence."""
    for path, text in tree.items():
        if path.endswith(".py") and not path.endswith("manifest.py"):
            if not ast.get_docstring(ast.parse(text, path)):
                yield f"{path}: no docstring"
        elif text and "SPDX-License-Identifier: Apache-2.0" not in text[:300]:
            yield f"{path}: no SPDX-License-Identifier"


def merges_are_finished(tree: Tree) -> Iterator[str]:
    """No mark of a conflict is left."""
    for path, text in tree.items():
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip().startswith(("<" * 7 + " ", ">" * 7 + " ")):
                yield f"{path}:{number}: {line.strip()}"


CORE = PORTABLE + "moat/micro/proto/_x.py"
LAYER = PORTABLE + "moat/micro/proto/x.py"
ON_DEVICE = DEVICE + "moat/micro/x.py"
ON_HOST = HOST + "moat/micro/x.py"
ALL_A, ALL_B = '__all__ = ["a"]\n', '__all__ = ("a", "b")\n'
LONG = "def f():\n" + "    x = 1\n" * MAX_FUNCTION

# rule -> trees that break it
BROKEN: dict[Rule, list[Tree]] = {
    cores_are_pure: [
        {CORE: "import os"},
        {CORE: "from moat.micro import rt"},
        {CORE: "from moat.micro.proto.stack import Base"},
        {CORE: "async def f(): pass"},
    ],
    portable_is_portable: [
        {LAYER: "import asyncio.core"},
        {LAYER: "def f():\n    from machine import Pin"},
        {LAYER: "x = __import__('anyio')"},
        {LAYER: "asyncio.sleep(1)"},
    ],
    device_lacks: [
        {LAYER: "from typing import Any"},
        {ON_DEVICE: "from __future__ import annotations"},
        {ON_DEVICE: "if TYPING:\n    import typing"},
    ],
    private_stays_private: [
        {ON_HOST: "import moat.micro.cli.main"},
        {ON_HOST: "from moat.micro import testing"},
        {LAYER: "from tests.unit import test_rules"},
        {HOST + "moat/micro/testing/x.py": "from moat.micro.cli import main"},
    ],
    imports_are_absolute: [{ON_HOST: "from .errors import MoatError"}, {LAYER: "from . import x"}],
    namespaces_only: [{HOST + "moat/__init__.py": ""}, {DEVICE + "moat/micro/a/__init__.py": ""}],
    twins_agree: [
        {LAYER: ALL_A, HOST + "moat/micro/proto/x.py": ALL_A},
        {ON_DEVICE: ALL_A, ON_HOST: ALL_B},
        {ON_DEVICE: ALL_A, ON_HOST: "a = 1"},
        {root + "moat/micro/proto/stream.py": ALL_A for root in (DEVICE, HOST)},
    ],
    errors_are_not_swallowed: [
        {"tests/x.py": "try:\n    f()\nexcept:\n    pass"},
        {LAYER: "try:\n    f()\nexcept BaseException as e:\n    '''Well.'''"},
        {ON_HOST: "for x in y:\n  try:\n    f()\n  except (OSError, Exception):\n    continue"},
    ],
    sizes_are_bounded: [{"x.c": "\n" * (MAX_FILE + 1)}, {"bench/x.py": LONG}],
    portable_is_typed: [
        {LAYER: "def f(a: int): pass"},
        {LAYER: "class A:\n    def __init__(self, a): pass"},
        {LAYER: "async def f(*a) -> None: pass"},
    ],
    merges_are_finished: [{"x.md": "a\n" + "<" * 7 + " HEAD\n"}, {"x.py": " " + ">" * 7 + " b\n"}],
    files_say_what_they_are: [{"x.py": "import os"}, {"x.c": "int a;"}],
}

# Trees that break no rule, though they come close.
SPDX = "# SPDX-License-Identifier: Apache-2.0\n"
FINE: list[Tree] = [
    {CORE: '"""A."""\nimport struct\nfrom moat.micro.errors import MoatError'},
    {CORE: '"""A."""\nfrom moat.micro.const import const\nfrom moat.micro.proto._y import a'},
    {CORE: '"""A."""\nif _TYPING:\n    from typing import Any\ndef f(a: "Any") -> int: ...'},
    {LAYER: '"""A."""\nfrom moat.micro import rt\nasync def f() -> None: await rt.sleep_ms(1)'},
    {LAYER: '"""A."""\nclass _A:\n    def f(self, a): pass\ndef _f(a): pass'},
    {ON_DEVICE: '"""A."""\nimport asyncio, machine\n' + ALL_A, ON_HOST: '"""B."""\n' + ALL_A},
    {DEVICE + "x.py": '"""A."""\nimport machine'},
    {HOST + "moat/micro/cli/x.py": '"""A."""\nfrom moat.micro.cli.main import main'},
    {"tests/x.py": '"""A."""\ntry:\n    f()\nexcept ValueError:\n    pass'},
    {"tests/x.py": '"""A."""\ntry:\n    f()\nexcept Exception as e:\n    print(e)'},
    {"manifest.py": SPDX + 'include("x")'},
    {"x.toml": SPDX, "py.typed": "", "tests/__init__.py": '"""A."""'},
]


@pytest.mark.parametrize("rule", BROKEN, ids=lambda r: r.__name__)
def test_project_keeps(rule: Rule) -> None:
    if problems := list(rule(read_tree())):
        pytest.fail("\n".join([str(rule.__doc__), *problems]), pytrace=False)


@pytest.mark.parametrize(
    ("rule", "tree"),
    [
        pytest.param(r, t, id=f"{r.__name__}-{i}")
        for r, ts in BROKEN.items()
        for i, t in enumerate(ts)
    ],
)
def test_rule_notices(rule: Rule, tree: Tree) -> None:
    assert list(rule(tree))


@pytest.mark.parametrize("rule", BROKEN, ids=lambda r: r.__name__)
@pytest.mark.parametrize("tree", FINE)
def test_rule_lets_pass(rule: Rule, tree: Tree) -> None:
    assert list(rule(tree)) == []


def test_tree_is_the_whole_project() -> None:
    tree = read_tree()
    other = (
        "tests/",
        "boards/",
        "firmware/native/",
        "firmware/viper/",
        "pyproject.toml",
        ".ci/run",
    )
    for root in (*PACKAGES, *other):
        assert any(path.startswith(root) for path in tree), root
