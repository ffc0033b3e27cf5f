"""What a link may do: the tree as it is seen from there."""

from moat.micro.cmd.path import P
from moat.micro.const import const
from moat.micro.errors import CallError, NotFoundError, NotPermittedError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

#: What a network link may do that was not told more.
LEAST = ("sys.ping", "sys.info")


class Rights:
    """A tree of which only some paths can be called. It takes the place of the root at a CmdMsg.

    What counts are the items that a path is resolved to. Whatever is not allowed is answered in
    the same way, whether it exists or not.

    Args:
        root: the whole tree.
        allow: dotted paths, from `base` on. Each stands for itself and all that is below it; an
            empty one for everything.
        base: the dotted path of the node that the link has as its root; empty: that of the tree.

    Raises:
        ValueError, TypeError: one of them is no dotted path.
    """

    def __init__(self, root: "Any", allow: "Any" = LEAST, base: str = "") -> None:
        self._root = root
        self._base = _items(base)
        self._allow = [_items(path) for path in allow]

    def leads_on(self, path: "Any") -> None:
        """As Dispatch.leads_on, but nothing is passed on without being looked at."""

    def find(self, path: "Any", streaming: bool = False) -> "Any":
        """As Dispatch.find. NotPermittedError: the path is not allowed, or leads nowhere.

        NotFoundError: it leads nowhere, behind a node that is allowed. NotReadyError,
        CallNotRunError: there is nothing at the moment, behind such a node.
        """
        if not self._may_be(path):
            raise _refused(path)
        try:
            items, link, n, found = self._resolve(path, streaming)
        except CallError as exc:
            if not self._may_know(path):
                raise _refused(path)
            raise exc
        if self._allowed(items) is None:
            raise _refused(path)
        return found if link is None else (link.link(), n)

    def _may_be(self, path):
        """Whether this may turn out to be allowed; else not even an import shall come of it."""
        if not isinstance(path, str):
            return self._allowed(path) is not None
        for allowed in self._allow:
            n = len(allowed)
            # Letters lead on; the rest may be a name.
            if list(path[:n]) == allowed or allowed == list(path[: n - 1]) + [path[n - 1 :]]:
                return True
        return False

    def _resolve(self, path, streaming):
        """The items that the path is resolved to, and what Dispatch.walk returns."""
        top = self._node(self._base)
        if top is None:
            raise NotFoundError("there is nothing here")
        if top.link is None:
            link, n, found = self._root.walk(path, streaming, top)
        else:
            link, n, found = top, 0, None
        if not isinstance(path, str):
            items = path
        else:
            items = list(path[:n]) + ([path[n:]] if link is None else [])
        return items, link, n, found

    def _node(self, items):
        """The node at these items, or None."""
        node = self._root
        for name in items:
            node = None if node is None or node.link is not None else node.child(name)
        return node

    def _allowed(self, items):
        """The entry that allows this, or None."""
        for allowed in self._allow:
            if items[: len(allowed)] == allowed:
                return allowed
        return None

    def _may_know(self, path):
        """Whether it may be told what exists in place of this."""
        allowed = None if isinstance(path, str) else self._allowed(path)
        if allowed is None:
            return False
        return self._node(self._base + allowed) is not None


def _items(path):
    if not isinstance(path, str):
        raise TypeError("%r is none" % (path,))
    return P(path).items if path else []


def _refused(path):
    from moat.micro.cmd.path import dotted

    return NotPermittedError("'%s' is not permitted on this link: see its `rights`" % dotted(path))
