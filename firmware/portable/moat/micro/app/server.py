"""The app that lets others connect: an array of links, one for each client.

Its settings are those of app.link, without `reconnect` and `role`; the kinds of `link` are

    {"kind": "tcp", "port": PORT, "host": "0.0.0.0", "max_clients": 8}
    {"kind": "unix", "path": PATH, "max_clients": 8}

where only `port` or `path` are needed; without `host` only this machine can connect. A client
gets the lowest number that is free.
"""

from moat.micro import rt
from moat.micro.app.link import Terms
from moat.micro.cmd.link import LinkCmd
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const
from moat.micro.errors import LinkError, LinkLost
from moat.micro.stacks import ConfigError, build_stack, make

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

# kind: (what makes it, options that it needs, other options)
_SERVERS = {
    "tcp": ("moat.micro.net.net:NetServer", "port", "host max_clients"),
    "unix": ("moat.micro.net.unix:UnixServer", "path", "max_clients"),
}


class LinkServer(BaseCmd):
    """Serves its clients, and stands for what is there."""

    hello_ms = 10000  # a client that says nothing for so long makes room for others

    def __init__(self, settings: "dict[str, Any]") -> None:
        cfg = dict(settings)
        if cfg.get("reconnect"):
            raise ConfigError("reconnect: it is the client that connects again")
        self._server = make(cfg.pop("link", None), _SERVERS, self._serve)
        self._terms = Terms(cfg, settings["link"]["kind"] != "unix", "server")
        self._stack(None)  # it raises what is wrong
        self.clients: "dict[int, LinkCmd]" = {}

    def _stack(self, link):
        return build_stack(self._terms.stack, link or BaseCmd())

    def child(self, name: "Any") -> "Any":
        """See BaseCmd.child."""
        return self.clients.get(name)

    loaded = child

    def children(self) -> "list[Any]":
        """See BaseCmd.children."""
        return list(self.clients)

    def is_link(self, name: "Any") -> bool:
        """See BaseCmd.is_link."""
        return True

    async def run(self) -> None:
        """Serve."""
        async with self._server:
            await rt.Event().wait()

    async def cmd_address(self) -> str:
        """Return where it listens."""
        return self._server.name

    async def _serve(self, link):
        n = 0
        while n in self.clients:
            n += 1
        self.clients[n] = node = LinkCmd()
        try:
            async with self._terms.cmd(self._stack(link), self.keeper, (n,)) as node.cmd:
                async with rt.timeout_ms(self.hello_ms):
                    await node.cmd.ready()
                await node.cmd.closed()
        except LinkLost:
            pass  # it has hung up
        except (LinkError, rt.TimeoutError) as exc:  # a stranger, and nothing that is to be mended
            from moat.micro.report import report

            text = str(exc) or "it has said nothing"
            report("%s: no session with %s: %s" % (self.keeper.name, link.name, text))
        finally:
            del self.clients[n]
