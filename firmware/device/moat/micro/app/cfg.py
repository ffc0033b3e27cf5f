"""The app `cfg` of a device."""

from moat.micro.cmd import cfg
from moat.micro.launch import BARE, apply, config_file


class CfgCmd(cfg.CfgCmd):
    """The config in the file moat.cfg."""

    def __init__(self):
        super().__init__(config_file(), apply, BARE)
