"""What the commands of an image are, from its sources: for `moat.micro.docs`.

A class that derives from BaseCmd is known by its module and name, "moat.micro.app.sys:SysCmd":

    {"doc": "About the device itself.",         the first line of its docstring, if there is one
     "base": "moat.micro.cmd.tree:BaseCmd",     where it has more of them from
     "more": "moat.micro.app._sys:SysMore",     and where else, see MORE there
     "c": {"ping": ["m=None", "Return `m`."]},  its commands: parameters, first line
     "s": {}}                                   and its streams

This runs before there is a virtual environment, so it imports nothing but what Python has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["ROOT", "collect", "module_name"]

ROOT = "moat.micro.cmd.tree:BaseCmd"
_COMMAND, _STREAM = "cmd_", "stream_"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: str) -> str:
    """The name of the module that is imported from a file: "a/b.py" is a.b."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def collect(sources: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Describe the classes of commands in `sources`: name of a module -> its text.

    SyntaxError: there is one in a source.
    """
    classes: dict[str, tuple[str, ast.ClassDef]] = {}
    for module, text in sources.items():
        tree = ast.parse(text, module)
        known = dict(_imported(tree.body))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                known[node.name] = f"{module}:{node.name}"
                base = _resolve(node.bases[0], known) if node.bases else ""
                classes[known[node.name]] = base, node
    return {
        name: _describe(node, base)
        for name, (base, node) in sorted(classes.items())
        if _has_commands(name, classes)
    }


def _imported(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    """The names that `from … import` statements of a module define, as "module:name"."""
    for node in body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}:{alias.name}"


def _resolve(node: ast.expr, known: Mapping[str, str]) -> str:
    """What the name of a base class means; "": nothing that is known."""
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Attribute):  # of a module
        return f"{_resolve(node.value, known).replace(':', '.')}:{node.attr}"
    return ""


def _has_commands(name: str, classes: Mapping[str, tuple[str, ast.ClassDef]]) -> bool:
    seen = set[str]()
    while name != ROOT and name in classes and name not in seen:
        seen.add(name)
        name = classes[name][0]
    return name == ROOT


def _describe(node: ast.ClassDef, base: str) -> dict[str, Any]:
    found: dict[str, Any] = {"doc": _first_line(node)}
    if base:
        found["base"] = base
    found |= {"c": {}, "s": {}}
    for part in node.body:
        if isinstance(part, Function):
            if part.name.startswith(_COMMAND):
                found["c"][part.name.removeprefix(_COMMAND)] = _function(part, 1)
            elif part.name.startswith(_STREAM):
                found["s"][part.name.removeprefix(_STREAM)] = _function(part, 2)
        elif isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "MORE":
            found["more"] = ast.literal_eval(part.value)
    return found


def _function(node: Function, own: int) -> list[str]:
    """Parameters without the first `own` ones (self, and a stream's sender); first line."""
    args = node.args
    positional = args.posonlyargs + args.args
    args.posonlyargs, args.args = [], positional[own:]
    for arg in [*args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]:
        arg.annotation = None
    return [ast.unparse(args), _first_line(node)]


def _first_line(node: Function | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]
