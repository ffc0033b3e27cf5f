"""The stack on further serial ports, beside the console port, as the config says.

    {"serve": [{"link": {"kind": "serial", "port": 0, "baudrate": 115200},
                "framing": "serialpacker", "reliable": true}]}

A section is that of stacks.build_stack, and may have a `key`, see docs/security.md. Who is at such
a port may call everything; hosts come and go. A port that our device should call something at is
one for the app moat.micro.app.link, which takes 6 KB more.
"""

from micropython import const

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.errors import LinkError
from moat.micro.report import report

_AGAIN_MS = const(1000)
_SILENCE_MS = const(250)


def read(sections):
    """Return what `serve` needs, for each section. ConfigError, ValueError: they make no sense."""
    from moat.micro.stacks import ConfigError, build_stack

    if not isinstance(sections, list):
        raise ConfigError("serve: a list of ports is needed")
    ports = []
    for section in sections:
        if not isinstance(section, dict):
            raise ConfigError("serve: a port is a map")
        cfg = dict(section)
        key = cfg.pop("key", None)
        link = cfg.get("link")
        if not isinstance(link, dict) or link.get("kind") != "serial":
            raise ConfigError("serve: a link of the kind 'serial' is needed; for others use apps")
        options = {"persistent": True, "gap_ms": _SILENCE_MS}
        msg = build_stack(cfg, **options)
        ports.append((link.get("port"), msg, _auth(key)))
    return ports


def _auth(key):
    if key is None:
        return None
    from moat.micro.cmd.auth import auth

    return auth(key, True)


async def serve(port, root, name):
    """Serve `root` at a port, one of those that `read` returns, for ever."""
    where, msg, auth = port
    said = None
    while True:
        cmd = CmdMsg(msg, root, name=name, auth=auth)
        try:
            async with cmd:
                await cmd.closed()
                await cmd.ready()  # it raises why
        except LinkError as exc:
            if str(exc) != said:
                said = str(exc)
                report("port %s: no session, tried again: %s" % (where, said))
        await rt.sleep_ms(_AGAIN_MS)
