"""The tree of commands: directories and apps, addressed by paths.

An app is a small class:

    class App(BaseCmd):
        async def cmd_add(self, a, b):      # a call
            return a + b

        async def stream_count(self, st, n):    # a stream of values
            for i in range(n):
                await st.send(i)
"""

import moat.micro.errors as errors
from moat.micro import rt
from moat.micro.cmd._checks import unheard
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_COMMAND = const("cmd_")
_STREAM = const("stream_")
_NOBODY = const("cmd_?")  # the method that no node has


class BaseCmd:
    """A node of the tree; its coroutine methods ``cmd_*`` and ``stream_*`` can be called."""

    #: Who starts and stops this node, see cmd.apps; None: it is there, and that is all.
    keeper: "Any" = None

    def names(self, prefix: str) -> "list[str]":
        """Return the names of our methods that start with `prefix`, without it."""
        n = len(prefix)
        # Of the class: MicroPython's dir() gets each attribute that any object could have.
        return sorted([name[n:] for name in dir(type(self)) if name.startswith(prefix)])

    #: Of a node that leads to another device: a method that returns the CmdMsg.
    link: "Any" = None

    def child(self, name: "Any") -> "Any":
        """Return the node below, or None."""
        return None

    def loaded(self, name: "Any") -> "Any":
        """Return the node below if a link may be there and it takes no import; or None."""
        return None

    def children(self) -> "list[str]":
        """Return the names of the nodes below."""
        return []

    async def cmd_doc_(self, n: "int | None" = None) -> "Any":
        """Tell the types of this and the sub-levels, for the host to look up what they do.

        `i` is the hash of the image that these are the types of (None: this is no image), `t`
        our type, `k` those of the sub-levels which have a name, as far as they are known.

        With `n`: piece `n` of the documentation that is frozen in the image, see tools/image.py;
        None where it ends.
        """
        if n is not None:
            try:
                pieces = __import__("moat.micro._docs", None, None, ("PIECES",)).PIECES
            except ImportError:  # the build makes it, for some boards
                pieces = ()
            return pieces[n] if 0 <= n < len(pieces) else None
        kinds = {}
        for name, node in [(None, self)] + list(getattr(self, "sub", {}).items()):
            if not isinstance(node, str):
                node = "%s:%s" % (type(node).__module__, type(node).__name__)
            kinds[name] = node
        return {"i": rt.IMAGE, "t": kinds.pop(None), "k": kinds}

    async def cmd_dir_(self) -> "dict[str, list[str]]":
        """Tell what is here: commands `c`, streams `s`, sub-levels `d`, links `l` if any."""
        below = sorted(self.children())
        links = [name for name in below if self.is_link(name)]
        here = {
            "c": self.names(_COMMAND),
            "s": self.names(_STREAM),
            "d": [name for name in below if name not in links],
        }
        if links:
            here["l"] = links
        return here

    def is_link(self, name: "Any") -> bool:
        """Whether the node below leads to another device."""
        return False

    async def cmd_rdy_(self, wait: bool = False) -> "dict[str, Any]":
        """Tell the state: `state`, and `error` and `restarts` where there are any.

        With `wait`, return when it is ready; NotReadyError: it is stopped, or has failed.
        """
        return {"state": "ready"} if self.keeper is None else await self.keeper.ready(wait)

    async def cmd_stp_(self) -> None:
        """Stop; returns when that is done. Nothing happens where nothing runs."""
        if self.keeper is not None:
            await self.keeper.stop()

    async def cmd_upd_(self) -> None:
        """Start anew, with the settings that are in force."""
        if self.keeper is not None:
            await self.keeper.update()


class DirCmd(BaseCmd):
    """A directory.

    Args:
        sub: name -> a node, or "module:Class" which is imported when it is first used. The class
            of a link to another device has a name that ends in Link.
    """

    def __init__(self, sub: "dict[str, Any]") -> None:
        self.sub = sub

    def children(self) -> "list[str]":
        """Return the names of the nodes below."""
        return list(self.sub)

    def loaded(self, name: "Any") -> "Any":
        """See BaseCmd.loaded."""
        node = self.sub.get(name)
        if isinstance(node, str):
            return self.child(name) if node.endswith("Link") else None
        return node

    def is_link(self, name: "Any") -> bool:
        """See BaseCmd.is_link."""
        node = self.sub.get(name)
        if isinstance(node, str):
            return node.endswith("Link")  # so it need not be imported
        return getattr(node, "link", None) is not None

    def child(self, name: "Any") -> "Any":
        """Return the node below, or None. Raises whatever its import raises."""
        node = self.sub.get(name)
        if isinstance(node, str):
            spec = node
            node = load(spec)()
            if not isinstance(node, BaseCmd):
                raise TypeError("%s is no subclass of BaseCmd" % spec)
            self.sub[name] = node
        return node


class Dispatch(DirCmd):
    """The root of a tree."""

    def leads_on(self, path: "Any") -> "Any":
        """Return what `find` does if there is a link on the way that needs no import; or None."""
        node = self
        for i in range(len(path) - 1):
            node = _below(node.loaded, path[i])
            if node is None:
                break
            if node.link is not None:
                return node.link(), i + 1
        return None

    def find(self, path: "Any", streaming: bool = False) -> "Any":
        """Return the method that `path` leads to.

        Where a link to another device is on the way, that is a tuple of its CmdMsg and of the
        number of items that lead to it.

        A list has an item for each level. A string is looked at level by level: where all that
        is left of it is the name of a command, that is it; else its first letter leads on.

        NotFoundError: names the first item that does not exist, and what does.
        """
        node, i, found = self.walk(path, streaming, self)
        return found if node is None else (node.link(), i)

    def walk(self, path: "Any", streaming: bool, node: "Any") -> "tuple[Any, int, Any]":
        """Return (None, i, method), or (link node, i, None); `i` items lead there from `node`."""
        if not path:
            raise errors.NotFoundError("the path is empty")
        prefix = _STREAM if streaming else _COMMAND
        word = isinstance(path, str)
        end = len(path) - 1
        i = 0
        while True:
            name = path[i:] if word else path[i]
            if word or i == end:
                method = _method(node, prefix, name)
                if method is not None:
                    return None, i, method
            below = _below(node.child, path[i]) if i < end else None
            if below is None:
                break
            node = below
            i += 1
            if node.link is not None:
                return node, i, None
        from moat.micro.cmd.path import leads_nowhere  # for people, when something is wrong

        raise leads_nowhere(path, i, node, streaming)


def _method(node, prefix, name):
    """Return the method, or None; raises why a node has none."""
    if not isinstance(name, str):
        return None
    name = prefix + name
    if unheard(name):
        method = getattr(node, _NOBODY, None)  # that may import the code which has this name
        if method is not None or unheard(name):
            return method
    return getattr(node, name, None)


def _below(get, name):
    """Return what `get` finds by this name."""
    try:
        return get(name)
    except TypeError:
        if isinstance(name, (list, dict)):
            return None  # nothing can have such a name
        raise


def load(spec: str) -> "Any":
    """Return the class that "module:Class" names."""
    name, attr = spec.split(":")
    module = __import__(name, None, None, (attr,))
    return getattr(module, attr)
