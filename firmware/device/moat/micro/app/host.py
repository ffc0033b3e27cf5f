"""The host's own tree of commands, if it has one."""

from moat.micro import serve
from moat.micro.cmd.link import LinkCmd


class HostLink(LinkCmd):
    """Stands for the root of the host at the console port."""

    def __init__(self):
        super().__init__(serve.link)
