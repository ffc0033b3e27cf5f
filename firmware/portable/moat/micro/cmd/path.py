"""Dotted paths, and what is said about one that leads nowhere.

A path on the wire is a list of items, strings and integers, or one string without dots whose
letters lead from level to level (Dispatch.find). A dotted path is for people.
"""

from moat.micro.const import const
from moat.micro.errors import NotFoundError

_SHOWN = const(60)  # letters of a name that does not exist

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any


class P:
    r"""A dotted path: ``P("adc.0.read")`` is the list ``["adc", 0, "read"]``.

    Digits are an integer. An item in double quotes is taken as it is, with \\" and \\\\ for
    these two: ``P('a."x.y"."7"')`` is ``["a", "x.y", "7"]``.

    ValueError: an item is empty, or a quote is not closed.
    """

    def __init__(self, text: str) -> None:
        self.items: "list[Any]" = _parse(text)

    def __str__(self) -> str:
        return dotted(self.items)

    def __repr__(self) -> str:
        return "P(%r)" % str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, P) and other.items == self.items

    def __hash__(self) -> int:
        return hash(str(self))


def _parse(text):
    items = []
    at = 0
    while True:
        if text[at : at + 1] == '"':
            item, at = _quoted(text, at + 1)
        else:
            end = text.find(".", at)
            end = len(text) if end < 0 else end
            item = text[at:end]
            at = end
            if not item or '"' in item:
                raise ValueError("%r is no path: an item is empty or has a quote in it" % text)
            if _is_number(item):
                item = int(item)
        items.append(item)
        if at == len(text):
            return items
        if text[at] != ".":
            raise ValueError("%r is no path: a dot has to follow a quoted item" % text)
        at += 1


def _quoted(text, at):
    item = ""
    while text[at : at + 1] != '"':
        if text[at : at + 1] == "\\":
            at += 1
        if at >= len(text):
            raise ValueError("%r is no path: a quote is not closed" % text)
        item += text[at]
        at += 1
    return item, at + 1


def _is_number(item):
    digits = item[1:] if item[0] == "-" else item
    return digits.isdigit() and (digits[0] != "0" or len(digits) == 1)


def dotted(items: "Any") -> str:
    """Return the path for people to read; P makes the same list of it."""
    if isinstance(items, str):
        return items
    return ".".join([_item(x) for x in items])


def _item(x):
    if isinstance(x, str) and (not x or "." in x or '"' in x or "\\" in x or _is_number(x)):
        return '"%s"' % x.replace("\\", "\\\\").replace('"', '\\"')
    return str(x)


def leads_nowhere(path: "Any", i: int, node: "Any", streaming: bool) -> NotFoundError:
    """Return the error for a path to a command whose item `i` is not at `node`, or is no such."""
    word = isinstance(path, str)
    last = word or i == len(path) - 1
    name = path[i:] if word else path[i]
    where = dotted(path[:i])
    calls, streams, below = node.names("cmd_"), node.names("stream_"), node.children()
    what = None
    if name in calls or name in streams:
        what = "a command, there is nothing below it"
        if last:
            what = "a call, not a stream" if streaming else "a stream, not a call"
    elif last and not word and name in below:
        what = "a level, not a command; '%s' tells what it has" % dotted(list(path) + ["dir_"])
    if what:
        return NotFoundError("%s is %s" % (_place(name, where), what))
    exc = missing(name, where, calls + [x + " ~" for x in streams] + below if last else below)
    note = getattr(node, "note", None)  # of a tree that has not all that it should have
    return NotFoundError("%s; %s" % (exc, note)) if note else exc


def missing(what: "Any", where: str, exists: "list[Any]") -> NotFoundError:
    """Return the error for an item that does not exist at `where`; near matches come first."""
    name = str(what)
    if len(name) > _SHOWN:
        name = name[:_SHOWN] + "..."
    names = sorted([str(x) for x in exists])
    most = max(2, len(name)) // 2
    # Whose lengths differ too much are not compared: that takes long.
    far = [(_edits(name, x.rstrip(" ~")), x) for x in names if abs(len(name) - len(x)) <= most + 2]
    first = [x for n, x in sorted(far) if n <= most]
    there = first + [x for x in names if x not in first]
    return NotFoundError(
        "no %s; there is: %s" % (_place(name, where), ", ".join(there) or "nothing")
    )


def _place(what, where):
    return "'%s'%s" % (what, " in '%s'" % where if where else "")


def _edits(a, b):
    """Return how many letters have to be changed, added or removed (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        left = row[0]
        row[0] = i + 1
        for j, y in enumerate(b):
            left, row[j + 1] = row[j + 1], min(left + (x != y), row[j] + 1, row[j + 1] + 1)
    return row[-1]
